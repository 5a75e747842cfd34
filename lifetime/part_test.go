package lifetime_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"relayd/lifetime"
)

// A part is the resource of these tests, and an oracle: it knows what must
// never happen to a resource, and fails its test when it does.
type part struct {
	lifetime.Node
	tb     testing.TB
	above  *part
	onGone func(*part) // called by the release, may be nil

	inside   atomic.Int32 // operations
	released atomic.Int32
	kids     struct { // those that were ever tried to be put below
		sync.Mutex
		list []*part
	}

	more chan struct{} // lets one operation inside finish
	owes atomic.Bool
	pay  chan error // what a drain returns

	mu    sync.Mutex
	woken chan struct{} // closed by the first interrupt
	cause error         // of the first interrupt
	cut   error         // why the drain's context ended, if it did
}

// Kinds of parts. They differ in their names.
var (
	socketKind = lifetime.NewKind(partHooks("socket"))
	readKind   = socketKind.Named("read")
	writeKind  = socketKind.Named("write")
)

func partHooks(name string) lifetime.Hooks[part] {
	return lifetime.Hooks[part]{
		Name:      name,
		Interrupt: (*part).interrupt,
		Owed:      func(p *part) bool { return p.owes.Load() },
		Drain:     (*part).drain,
		Release:   (*part).release,
	}
}

func (p *part) prepare(tb testing.TB, above *part) {
	p.tb, p.above = tb, above
	p.more = make(chan struct{})
	p.pay = make(chan error, 1)
	p.woken = make(chan struct{})
	if above != nil {
		above.kids.Lock()
		above.kids.list = append(above.kids.list, p)
		above.kids.Unlock()
	}
}

// join puts p into the tree below its part above, or as a root.
func (p *part) join(kind lifetime.Kind[part], policy lifetime.Policy) error {
	if p.above == nil {
		return kind.Init(p, nil, policy)
	}
	return kind.Init(p, &p.above.Node, policy)
}

// joinBeside puts p into the tree beside a sibling.
func (p *part) joinBeside(sibling *part, kind lifetime.Kind[part], policy lifetime.Policy) error {
	return kind.InitBeside(p, &sibling.Node, policy)
}

// born reports whether p is in the tree, or was.
func (p *part) born() bool { return p.ID() != 0 }

// use is an operation that does not wait.
func (p *part) use() error {
	if err := p.Enter(); err != nil {
		return err
	}
	p.enter()
	p.leave()
	return nil
}

// wait is an operation that waits for more, or for its interrupt. A deaf one
// does not hear that.
func (p *part) wait(deaf bool) error {
	if err := p.Enter(); err != nil {
		return err
	}
	p.enter()
	defer p.leave()
	woken := p.woken
	if deaf {
		woken = nil
	}
	select {
	case <-p.more:
		return nil
	case <-woken:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.cause
	}
}

func (p *part) enter() {
	p.inside.Add(1)
	if p.released.Load() != 0 {
		p.tb.Error(p.Name(), "was entered after its release")
	}
}

func (p *part) leave() {
	if p.released.Load() != 0 {
		p.tb.Error(p.Name(), "was released with an operation inside")
	}
	p.inside.Add(-1)
	p.Leave()
}

func (p *part) interrupt(cause error) {
	if p.released.Load() != 0 {
		p.tb.Error(p.Name(), "was interrupted after its release")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause == nil {
		p.cause = cause
		close(p.woken)
	}
}

func (p *part) drain(ctx context.Context) error {
	if p.inside.Load() != 0 {
		p.tb.Error(p.Name(), "drains with an operation inside")
	}
	select {
	case err := <-p.pay:
		return err
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cut = context.Cause(ctx)
		return p.cut
	}
}

func (p *part) release() {
	if n := p.released.Add(1); n != 1 {
		p.tb.Error(p.Name(), "was released", n, "times")
	}
	if p.inside.Load() != 0 {
		p.tb.Error(p.Name(), "was released with an operation inside")
	}
	p.kids.Lock()
	defer p.kids.Unlock()
	for _, c := range p.kids.list {
		if c.born() && c.released.Load() == 0 {
			p.tb.Error(p.Name(), "was released before", c.Name())
		}
	}
	if p.onGone != nil {
		p.onGone(p)
	}
}

// gone fails the test if p was not released exactly once.
func (p *part) gone() {
	p.tb.Helper()
	if p.State() != lifetime.Released || p.released.Load() != 1 {
		p.tb.Errorf("%s is %v and was released %d times, want once", p.Name(), p.State(), p.released.Load())
	}
}

// A sock is shaped like a socket: a parent, its two halves, and a clone of the
// read half, in one allocation. Only the parent is in the tree at first.
type sock struct{ p, r, w, c part }

func newSock(tb testing.TB, policy lifetime.Policy) *sock {
	tb.Helper()
	s := new(sock)
	s.p.prepare(tb, nil)
	for _, half := range []*part{&s.r, &s.w, &s.c} {
		half.prepare(tb, &s.p)
	}
	if err := s.p.join(socketKind, policy); err != nil {
		tb.Fatal(err)
	}
	return s
}

// newPair returns a sock with its read half.
func newPair(tb testing.TB, policy lifetime.Policy) *sock {
	tb.Helper()
	s := newSock(tb, policy)
	if err := s.r.join(readKind, policy); err != nil {
		tb.Fatal(err)
	}
	return s
}

// nothingLeft fails the test if the process has a resource.
func nothingLeft(tb testing.TB) {
	tb.Helper()
	for _, i := range lifetime.Snapshot(nil) {
		tb.Errorf("left behind: %s, %v, %d children, %d operations", i.Name, i.State, i.Children, i.Operations)
	}
}

var allPolicies = []lifetime.Policy{lifetime.Trap, lifetime.Refcount, lifetime.CloseChildren, lifetime.Block}
