package upstream

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"relayd/lifetime"
)

// Options are what a pool needs besides its configuration. The zero value will
// do.
type Options struct {
	// Log gets a line whenever a member's state changes, or a name's
	// addresses. Nil discards.
	Log *slog.Logger
	// OnDown is told of each member that has gone down, or was ejected, and
	// why; what follows for its conns is up to Config.OnDown and the relay. It
	// is called on a goroutine of the pool's, one call at a time, which Close
	// waits for: it must not call Close. A state that is over when its turn
	// comes may be left out.
	OnDown func(m *Member, s State, why string)
	// Lookup and LookupSRV ask for the addresses of a host, and for the SRV
	// records of a service. Nil is package net's resolver.
	Lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
	LookupSRV func(ctx context.Context, name string) ([]*net.SRV, error)
	// Seed makes what is random repeatable, for tests. Zero does not.
	Seed uint64
	// Before, if it is not nil, is a pool that this one takes the place of, as
	// after a reload: what it knows of addresses that both have is taken over,
	// and what was set by hand, and what was counted. It is left as it is, but
	// what is set there by hand from then on is set here, too. Its conns stay
	// its own: they do not count against MaxConns here.
	Before *Pool

	probe func(ctx context.Context, m *Member) error // nil: probe
}

// Errors of Take. They come wrapped, with the pool's name and the reason.
var (
	ErrDown         = errors.New("no target is up")
	ErrFull         = errors.New("all targets have their most conns, and the queue is full")
	ErrQueueTimeout = errors.New("all targets have their most conns, and none has ended in the time of the queue")
	ErrClosed       = errors.New("the upstream was removed")
)

// A Pool is an upstream: its targets, and what is known of them. Its methods may
// be called from any number of goroutines.
type Pool struct {
	node         lifetime.Node // above the sockets of checks
	c            Config        // complete
	o            Options
	send, expect []byte
	ctx          context.Context // ends with the pool
	cancel       context.CancelFunc
	running      sync.WaitGroup // of all goroutines
	wake, news   chan struct{}  // of the keeper, and of the teller

	mu      sync.Mutex
	closed  bool
	targets []*target
	members []*Member // in the order of their targets
	gone    []*Member // no longer in DNS, with conns that live
	heir    *Pool     // that was opened last to take the place of this one
	queue   list.List // of *waiter
	counts  Status
	rand    *rand.Rand
	turn    int // where LeastConns looks first
	checks  crew
	lookups crew
}

var poolKind = lifetime.NewKind(lifetime.Hooks[Pool]{Name: "upstream", Numbered: true})

// Open begins to check the targets of c and to look up their names, and returns
// at once: before names have addresses, Take fails with ErrDown, and why.
func Open(c Config, o Options) (*Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{c: c.complete(), o: o, wake: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	p.send, _ = unescape(c.Check.Send)
	p.expect, _ = unescape(c.Check.Expect)
	if o.Log == nil {
		p.o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Lookup == nil {
		p.o.Lookup = lookup
	}
	if o.probe == nil {
		p.o.probe = probe
	}
	if o.LookupSRV == nil {
		p.o.LookupSRV = lookupSRV
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	p.rand = rand.New(rand.NewPCG(seed, seed))
	if err := poolKind.Init(p, nil, lifetime.Refcount); err != nil {
		return nil, err
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.checks = crew{p: p, max: maxChecks}
	p.lookups = crew{p: p, max: maxLookups}
	if err := p.furnish(); err != nil {
		p.cancel()
		p.node.Shutdown(context.Background(), ErrClosed)
		return nil, err
	}
	p.running.Add(2)
	go p.keep()
	go p.tell()
	return p, nil
}

// furnish makes the targets, and the members of those without a name.
func (p *Pool) furnish() error {
	p.mu.Lock() // who sets a target of the pool before may come as soon as that knows its heir
	defer p.mu.Unlock()
	now := time.Now()
	for _, configured := range p.c.Targets {
		t := &target{Target: configured, askAt: now}
		p.targets = append(p.targets, t)
		if t.named() {
			continue
		}
		m, err := p.newMember(t, t.Name, t.Address, now)
		if err != nil {
			return fmt.Errorf("upstream %q: target %q: %w", p.c.Name, t.Name, err)
		}
		if p.o.Before == nil {
			m.ramp = time.Time{}
		}
		t.members = []*Member{m}
	}
	p.collect()
	if p.o.Before != nil {
		p.inherit(p.o.Before, now)
		p.o.Before = nil
	}
	spread := min(p.c.Check.Every, firstChecks+time.Duration(len(p.members))*betweenChecks)
	for _, m := range p.members {
		m.checkAt = now.Add(time.Duration(p.rand.Int64N(int64(spread))))
		m.told = m.state
	}
	return nil
}

// collect makes the pool's members those of its targets.
func (p *Pool) collect() {
	p.members = nil
	for _, t := range p.targets {
		t.rank()
		p.members = append(p.members, t.members...)
	}
}

// Config returns the pool's configuration, with its defaults.
func (p *Pool) Config() Config {
	c := p.c
	c.Targets, c.Sources = slices.Clone(c.Targets), slices.Clone(c.Sources)
	return c
}

// Close ends the pool: those who wait for a member get ErrClosed, and it returns
// when all its goroutines and the sockets of its checks are gone. Conns go on.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.refuse(ErrClosed)
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
	p.node.Shutdown(context.Background(), ErrClosed)
}

// Set puts a target into a state by hand: Down, or Draining, in which it gets no
// conns, or Up, which leaves it to checks and dials again and forgets its
// ejections. Conns that it has are the relay's business.
func (p *Pool) Set(name string, s State) error {
	if s != Up && s != Down && s != Draining {
		return fmt.Errorf("upstream %q: no target can be set to %v: say up, down or draining", p.c.Name, s)
	}
	for p != nil {
		t, heir, err := p.set(name, s)
		if err != nil {
			return err
		}
		// Who has asked for the pool before a reload was over has meant the target.
		if p = heir; p != nil && !slices.ContainsFunc(p.targets, t.same) {
			return nil
		}
	}
	return nil
}

// set is Set of this pool alone. It returns the target, and which pool takes the
// place of this one.
func (p *Pool) set(name string, s State) (*target, *Pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, t := range p.targets {
		if t.Name != name {
			names = append(names, t.Name)
			continue
		}
		t.hand = s
		now := time.Now()
		for _, m := range t.members {
			if s == Up {
				m.forgive()
			}
			p.update(m, now)
		}
		p.serve(now) // one on trial was up before, and takes more than one conn now
		return t, p.heir, nil
	}
	return nil, nil, fmt.Errorf("upstream %q: it has no target %q; it has %s", p.c.Name, name, strings.Join(names, ", "))
}

// error wraps an error of Take.
func (p *Pool) error(err error, why string) error {
	if why != "" {
		return fmt.Errorf("upstream %q: %w: %s", p.c.Name, err, why)
	}
	return fmt.Errorf("upstream %q: %w", p.c.Name, err)
}

// poke makes sure that the goroutine that reads from c takes another look.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
