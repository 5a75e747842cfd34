package lifetime_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"relayd/lifetime"
)

// What the Interrupt hook may count on.

// The host state is there for as long as the hook runs, even if the operation
// leaves and the last holder goes in the meantime: an interrupt that shuts an fd
// down would otherwise meet an fd of somebody else.
func TestInterruptBeforeRelease(t *testing.T) {
	for name, end := range map[string]func(n *lifetime.Node){
		"drop":     func(n *lifetime.Node) { n.BeginDrop() },
		"shutdown": func(n *lifetime.Node) { n.BeginShutdown(errFirst) },
	} {
		for _, p := range allPolicies {
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { interruptBeforeRelease(t, p, end) })
			})
		}
	}
}

func interruptBeforeRelease(t *testing.T, p lifetime.Policy, end func(*lifetime.Node)) {
	child := new(hooked)
	interrupts, released := 0, false
	h := &hooked{onRelease: func() { released = true }}
	h.onInterrupt = func(error) {
		interrupts++
		if interrupts == 1 {
			h.Leave()         // the operation
			child.BeginDrop() // the last holder
			h.BeginShutdown(errSecond)
		}
		if released {
			t.Error("released while an interrupt runs")
		}
	}
	h.put(t, hookedKind, nil, p)
	if p == lifetime.Refcount {
		child.put(t, hookedKind, &h.Node, p)
	} else {
		other := new(hooked)
		other.put(t, hookedKind, nil, p)
		child = other
	}
	if err := h.Enter(); err != nil {
		t.Fatal(err)
	}
	end(&h.Node)
	child.BeginDrop()
	<-h.Done()
	if interrupts == 0 || !released {
		t.Errorf("%d interrupts, released: %v", interrupts, released)
	}
}

// Each interrupt says why, in the error that the operation should return.
func TestInterruptCause(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy lifetime.Policy
		end    func(p *part)
		want   string
	}{
		{"own drop", lifetime.Refcount, func(p *part) { p.BeginDrop() }, "dropped"},
		{"drop above", lifetime.CloseChildren, func(p *part) { p.above.BeginDrop() }, "closed"},
		{"trap above", lifetime.Trap, func(p *part) { p.above.BeginDrop() }, "trapped"},
		{"own shutdown", lifetime.Refcount, func(p *part) { p.BeginShutdown(errFirst) }, "shutdown"},
		{"shutdown above", lifetime.Refcount, func(p *part) { p.above.BeginShutdown(errFirst) }, "shutdown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newPair(t, test.policy)
			result := make(chan error)
			entered := make(chan struct{})
			go func() {
				s.r.Enter()
				close(entered)
				<-s.r.woken
				s.r.Leave()
				result <- s.r.cause
			}()
			<-entered
			test.end(&s.r)
			want(t, "operation", <-result, test.want)
			s.p.BeginDrop()
			<-s.p.Done()
		})
	}
}

// A drop interrupts nobody but its handle's own operations, and a finish nobody
// at all.
func TestNoInterrupt(t *testing.T) {
	s := newPair(t, lifetime.Refcount)
	s.w.join(writeKind, lifetime.Refcount)
	for _, p := range []*part{&s.p, &s.r, &s.w} {
		if err := p.Enter(); err != nil {
			t.Fatal(err)
		}
	}
	s.r.BeginDrop()
	want(t, "cause at the dropped", s.r.cause, "dropped")
	s.p.BeginFinish(errFirst)
	if s.p.cause != nil || s.w.cause != nil {
		t.Errorf("interrupted: %v, %v", s.p.cause, s.w.cause)
	}
	for _, p := range []*part{&s.p, &s.r, &s.w} {
		p.Leave()
	}
	s.p.gone()
}

// Without an operation inside there is nothing to interrupt.
func TestNothingToInterrupt(t *testing.T) {
	for _, end := range []func(n *lifetime.Node){
		func(n *lifetime.Node) { n.BeginDrop() },
		func(n *lifetime.Node) { n.BeginShutdown(errors.New("no reason")) },
		func(n *lifetime.Node) { n.BeginFinish(nil) },
	} {
		h := &hooked{onInterrupt: func(err error) { t.Error("interrupted:", err) }}
		h.put(t, hookedKind, nil, lifetime.Refcount)
		end(&h.Node)
		if !isDone(&h.Node) {
			t.Error("not released")
		}
	}
}
