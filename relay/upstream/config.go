package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"relayd/socket"
)

// A Config says what a [Pool] is. In its parts zero means the default and
// negative off, unless they say otherwise.
type Config struct {
	Name    string   // in errors, logs and Status
	Targets []Target // at least one; their order matters to First
	Balance Balance
	Check   Check
	Eject   Eject
	Retry   Retry
	// SlowStart is how long a member that comes up takes to get its whole
	// weight. It grows evenly. Members that are there from the beginning have
	// theirs at once. Zero is none.
	SlowStart time.Duration
	Queue     Queue
	Resolve   Resolve
	// OnDown is what becomes of a member's conns when it goes down. It is for
	// the relay to do: the pool only carries it.
	OnDown OnDown
	// Sources are local addresses to dial from, in turn: as many times the
	// ports of one. Each is for targets of its family, and of a name only the
	// addresses count for whose family there is one. When the ports of one are
	// used up the next is tried; see [socket.IsNoPorts]. Targets that are
	// neither TCP nor TLS are dialled as ever.
	Sources []netip.Addr
}

// A Target is where conns go. One whose address is tcp: with a host's name
// stands for all addresses of that name, each of which becomes a [Member]. All
// other targets are one member.
type Target struct {
	Name    string // unique in its pool; by default the address
	Address socket.Address
	// Weight is its share, next to those of the others, and that of each of
	// its members: 1 by default, 1000 at most. With a negative one it gets no
	// conns, and is checked all the same.
	Weight int
	// MaxConns bounds the conns of each of its members. Zero is no bound.
	MaxConns int
	// Records says what is looked up for a host's name. With SRV the address
	// is that of the service, with port 0: tcp://_pg._tcp.example.com:0.
	Records Records
}

// A Check says how members are asked whether they live: by dialling their own
// address, and then, if that is said, by what they answer.
type Check struct {
	On      bool          // without, nobody is asked
	Every   time.Duration // from one to the next; 5s. It varies by a tenth
	Timeout time.Duration // of each, in all; 2s
	Rise    int           // good ones in a row that bring a member up; 2
	Fall    int           // bad ones in a row that take it down; 3
	// Send is written after connecting, and then Expect must be part of the
	// first 16 KiB of the answer. Either may be empty. Both are written with
	// the escapes of a Go string: PING\r\n
	Send, Expect string
	// Secret keeps both, and what is answered to them, out of what is said of a
	// check that fails.
	Secret bool
}

// An Eject says when a member is left alone because dials to it fail.
type Eject struct {
	Fails int           // failed dials in a row; 5. Negative: never
	Time  time.Duration // how long, the first time; 10s. It doubles each time
	Max   time.Duration // the longest; 5m, and not less than Time
	// MaxPercent is how many of the pool's members may be ejected at a time.
	// The default is 50, and 100 all. Below 100 the last member that is up
	// is not ejected, whatever the number.
	MaxPercent int
	// Resets makes conns count that the member resets before it has sent a
	// byte: see [Member.Reset]. It is for servers behind something that
	// accepts for them.
	Resets bool
}

// A Retry says what follows a dial that failed.
type Retry struct {
	Attempts int           // dials in all, the first included; 3. Negative: 1
	Min      time.Duration // the wait before the second; 20ms. It doubles each time
	Max      time.Duration // the longest wait; 1s, and not less than Min
	// Timeout bounds each dial, so that one target that does not answer
	// leaves time for others. The default is 3s; negative leaves it to the
	// caller's context. With one attempt there is no such bound.
	Timeout time.Duration
}

// A Queue says how conns wait when all targets have their MaxConns.
type Queue struct {
	Max     int           // how many may wait; 1024. Negative: none
	Timeout time.Duration // how long; 5s. Negative: as long as the caller
}

// A Resolve says when names are looked up again.
type Resolve struct {
	Every   time.Duration // 30s. It varies by a tenth; negative: only after failed dials
	Min     time.Duration // between two, after failed dials or lookups; 1s
	Timeout time.Duration // of each; 5s
}

// complete returns c with its defaults.
func (c Config) complete() Config {
	c.Targets = slices.Clone(c.Targets)
	for i := range c.Targets {
		t := &c.Targets[i]
		t.Name = cmp.Or(t.Name, t.Address.String())
		t.Weight = cmp.Or(t.Weight, 1)
	}
	c.Sources = slices.Clone(c.Sources)
	if len(c.Sources) == 0 {
		c.Sources = nil
	}
	k := &c.Check
	k.Every = cmp.Or(max(k.Every, 0), 5*time.Second)
	k.Timeout = cmp.Or(max(k.Timeout, 0), 2*time.Second)
	k.Rise = cmp.Or(max(k.Rise, 0), 2)
	k.Fall = cmp.Or(max(k.Fall, 0), 3)
	e := &c.Eject
	e.Fails = cmp.Or(e.Fails, 5)
	e.Time = cmp.Or(max(e.Time, 0), 10*time.Second)
	e.Max = max(cmp.Or(e.Max, 5*time.Minute), e.Time)
	e.MaxPercent = cmp.Or(e.MaxPercent, 50)
	r := &c.Retry
	r.Attempts = max(cmp.Or(r.Attempts, 3), 1)
	r.Min = cmp.Or(max(r.Min, 0), 20*time.Millisecond)
	r.Max = max(cmp.Or(r.Max, time.Second), r.Min)
	r.Timeout = max(cmp.Or(r.Timeout, 3*time.Second), -1)
	q := &c.Queue
	q.Max = cmp.Or(q.Max, 1024)
	q.Timeout = cmp.Or(q.Timeout, 5*time.Second)
	v := &c.Resolve
	v.Every = cmp.Or(v.Every, 30*time.Second)
	v.Min = cmp.Or(max(v.Min, 0), time.Second)
	v.Timeout = cmp.Or(max(v.Timeout, 0), 5*time.Second)
	c.SlowStart = max(c.SlowStart, 0)
	return c
}

// Equal reports whether a pool of d would be one of c: a reload then keeps the
// pool, and all that it knows about its members.
func (c Config) Equal(d Config) bool { return reflect.DeepEqual(c.complete(), d.complete()) }

// The bounds of what a Config may say.
const (
	maxWeight  = 1000
	maxTargets = 4096
	maxSources = 64
)

// Validate returns nil, or all that is wrong with c. [Open] calls it.
func (c Config) Validate() error {
	c = c.complete()
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("upstream %q: "+format, append([]any{c.Name}, args...)...))
	}
	if n := len(c.Targets); n == 0 || n > maxTargets {
		bad("it has %d targets; name from 1 to %d", n, maxTargets)
	}
	if !c.Balance.valid() || !c.OnDown.valid() {
		bad("balance %v or on-down %v is none", c.Balance, c.OnDown)
	}
	if p := c.Eject.MaxPercent; p > 100 {
		bad("%d%% of its members may be ejected; 100%% are all", p)
	}
	if len(c.Sources) > maxSources {
		bad("it has %d sources; %d is the most", len(c.Sources), maxSources)
	}
	for _, s := range c.Sources {
		if !s.IsValid() || s.IsUnspecified() || s.IsMulticast() {
			bad("source %v is not an address of this machine", s)
		}
	}
	for _, text := range []string{c.Check.Send, c.Check.Expect} {
		if _, err := unescape(text); err != nil {
			bad("check: %w", err)
		}
	}
	seen := make(map[string]bool)
	for _, t := range c.Targets {
		if err := t.validate(&c); err != nil {
			bad("target %q: %w", t.Name, err)
		}
		if seen[t.Name] {
			bad("two targets are named %q: give one of them another name", t.Name)
		}
		seen[t.Name] = true
	}
	return errors.Join(errs...)
}

// validate returns what is wrong with a target of c.
func (t *Target) validate(c *Config) error {
	a := t.Address
	switch {
	case !t.Records.valid():
		return fmt.Errorf("records %v are none", t.Records)
	case t.Records == SRV && (a.Kind != socket.TCP || !t.named()):
		return errors.New("SRV records are of a name: write tcp://_SERVICE._tcp.NAME:0")
	case t.Records == SRV && a.Port != 0:
		return errors.New("ports are in its SRV records: write port 0")
	case t.Records == SRV:
		a.Port = 1
	}
	if err := a.Dialable(); err != nil {
		return err
	}
	switch {
	case t.Weight > maxWeight:
		return fmt.Errorf("weight %d is over %d", t.Weight, maxWeight)
	case t.MaxConns < 0:
		return fmt.Errorf("it may have %d conns: 0 is no bound", t.MaxConns)
	case c.Check.On && (a.Kind == socket.FD || a.Kind == socket.Stdio):
		return fmt.Errorf("it cannot be checked: %s: is dialled once", a.Kind)
	case len(c.sourcesFor(a)) > 0 && strings.Contains("&"+a.Options, "&bind="):
		return errors.New("it has an option bind, and its upstream sources: leave one of them out")
	case t.named():
		return nil
	}
	_, err := socket.NewDialer(a, c.sourcesFor(a)...)
	return err
}

// sourcesFor returns the sources that an address is dialled from.
func (c *Config) sourcesFor(a socket.Address) []netip.Addr {
	if a.Kind != socket.TCP && a.Kind != socket.TLS {
		return nil
	}
	return c.Sources
}

// named reports whether the target stands for the addresses of a name.
func (t *Target) named() bool {
	if t.Address.Kind != socket.TCP {
		return false
	}
	_, err := netip.ParseAddr(t.Address.Host)
	return err != nil
}
