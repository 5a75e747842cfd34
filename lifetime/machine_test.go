package lifetime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A spec is one resource as the specification has it: single-threaded, with
// nothing but what the rules need. It is the other half of the state machine
// test, and knows nothing of words and locks.
type spec struct {
	name     string
	parent   *spec // nil for the root
	policy   Policy
	state    State
	owned    bool
	fate     End // what the handle's user is told
	end      End
	begun    bool // a Block drop that nobody can take back
	ops      int
	children []*spec // not released

	real     *thing
	released *[]string // shared by the tree: in the order of releases
}

// A thing is the real resource beside it.
type thing struct {
	Node
	name     string
	freed    int
	released *[]string
}

var thingKind = NewKind(Hooks[thing]{
	Name:    "thing",
	Release: func(t *thing) { t.freed++; *t.released = append(*t.released, t.name) },
})

func (s *spec) held() bool { return s.state == Live || s.state == Dropping }

// holders are the children that are not done.
func (s *spec) holders() (n int) {
	for _, c := range s.children {
		if c.held() {
			n++
		}
	}
	return n
}

// settle does what follows by itself: a resource without holders is done, one
// that is done and quiet is released, and then the same for its parent.
func (s *spec) settle() {
	if s == nil {
		return
	}
	if s.held() && s.holders() == 0 && (s.state == Dropping || !s.owned) {
		if s.owned {
			s.owned = false
			s.ended(Dropped)
		}
		s.state = Draining
		s.parent.settle()
	}
	if !s.held() && s.state != Released && s.ops == 0 && len(s.children) == 0 {
		s.state = Released
		*s.released = append(*s.released, s.name)
		if s.parent != nil {
			s.parent.children = slices.DeleteFunc(s.parent.children, func(c *spec) bool { return c == s })
			s.parent.settle()
		}
	}
}

// ended records what ended the handle, and the resource.
func (s *spec) ended(e End) {
	if s.fate == Open {
		s.fate = e
	}
	forced := e == WasTrapped || e == ClosedByParent || e == ShutDown
	if s.end == Open || forced && (s.end == Dropped || s.end == Finished || s.end == Lost) {
		s.end = e
	}
}

// force is a shutdown, a trap, or a close by the parent.
func (s *spec) force(to State, e End) {
	if !s.held() && s.state != Draining {
		return
	}
	s.state = to
	s.ended(e)
	for _, c := range slices.Clone(s.children) {
		c.force(to, e)
	}
	s.settle()
	s.parent.settle()
}

// refuse is the error of a use of the handle, or nil.
func (s *spec) refuse() error {
	switch s.fate {
	case Open:
		if s.state == Dropping {
			return ErrDropping
		}
		return nil
	case Dropped, Lost:
		if s.policy == Trap {
			s.force(Trapped, WasTrapped)
			return ErrTrapped
		}
		return ErrDropped
	case WasTrapped:
		return ErrTrapped
	case ClosedByParent:
		return ErrClosedByParent
	}
	return ErrShutdown
}

// drop is a drop that begins, or, with wait, one whose context has ended.
func (s *spec) drop(wait bool) error {
	switch {
	case s.fate == Dropped || s.fate == Lost:
		return s.refuse()
	case s.fate != Open:
		return nil
	}
	policy := s.policy
	if s.holders() == 0 {
		policy = Refcount
	}
	own := s.ops > 0
	switch policy {
	case Trap:
		s.force(Trapped, WasTrapped)
		return ErrTrapped
	case Block:
		switch {
		case wait:
			return ErrHoldersAlive
		case s.begun:
			return ErrDropping
		}
		s.state, s.begun = Dropping, true
		return nil
	}
	s.owned = false
	s.ended(Dropped)
	if policy == CloseChildren {
		for _, c := range slices.Clone(s.children) {
			if c.held() {
				c.force(Closing, ClosedByParent)
			}
		}
	}
	s.settle()
	if wait && (own || policy == CloseChildren && s.state != Released) {
		return ErrHoldersAlive
	}
	return nil
}

// disown is a finish of s and all below it, or the loss of its handle.
func (s *spec) disown(e End, below bool) {
	if !s.held() {
		return
	}
	s.state, s.owned = Live, false
	s.ended(e)
	if below {
		for _, c := range slices.Clone(s.children) {
			c.disown(e, true)
		}
	}
	s.settle()
}

// A machine drives a tree and its specification side by side.
type machine struct {
	all            []*spec
	wanted, actual []string // releases
	ctx            context.Context
}

func (m *machine) add(t *rapid.T, parent, beside *spec) {
	s := &spec{name: fmt.Sprint("n", len(m.all)), state: Live, owned: true, released: &m.wanted}
	s.policy = rapid.SampledFrom([]Policy{Refcount, Trap, CloseChildren, Block}).Draw(t, "policy")
	s.real = &thing{name: s.name, released: &m.actual}
	var want, got error
	switch {
	case beside != nil:
		if want = beside.refuse(); want == nil {
			if want = beside.parent.refuse(); want == ErrDropped {
				want = ErrParentDropped
			}
		}
		s.parent = beside.parent
		got = thingKind.InitBeside(s.real, &beside.real.Node, s.policy)
	case parent != nil:
		want = parent.refuse()
		s.parent = parent
		got = thingKind.Init(s.real, &parent.real.Node, s.policy)
	default:
		got = thingKind.Init(s.real, nil, s.policy)
	}
	same(t, "init "+s.name, got, want)
	if want == nil {
		m.all = append(m.all, s)
		if s.parent != nil {
			s.parent.children = append(s.parent.children, s)
		}
	}
}

func same(t *rapid.T, what string, got, want error) {
	if got == nil && want == nil {
		return
	}
	if want == nil || !errors.Is(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// pick returns one of the resources, also one that is released.
func (m *machine) pick(t *rapid.T) *spec { return rapid.SampledFrom(m.all).Draw(t, "node") }

func (m *machine) actions() map[string]func(*rapid.T) {
	act := func(f func(t *rapid.T, s *spec)) func(*rapid.T) {
		return func(t *rapid.T) {
			s := m.pick(t)
			f(t, s)
		}
	}
	return map[string]func(*rapid.T){
		"child": act(func(t *rapid.T, s *spec) { m.add(t, s, nil) }),
		"beside": act(func(t *rapid.T, s *spec) {
			if s.parent != nil {
				m.add(t, nil, s)
			}
		}),
		"enter": act(func(t *rapid.T, s *spec) {
			want := s.refuse()
			if want == nil {
				s.ops++
			}
			same(t, "enter "+s.name, s.real.Enter(), want)
		}),
		"leave": act(func(t *rapid.T, s *spec) {
			if s.ops > 0 {
				s.ops--
				s.settle()
				s.real.Leave()
			}
		}),
		"begin drop": act(func(t *rapid.T, s *spec) {
			want := s.drop(false)
			_, got := s.real.BeginDrop()
			same(t, "drop "+s.name, got, want)
		}),
		"drop": act(func(t *rapid.T, s *spec) {
			want := s.drop(true)
			_, got := s.real.Drop(m.ctx)
			same(t, "waiting drop "+s.name, got, want)
		}),
		"shutdown": act(func(t *rapid.T, s *spec) {
			s.force(Closing, ShutDown)
			s.real.BeginShutdown(nil)
		}),
		"finish": act(func(t *rapid.T, s *spec) {
			s.disown(Finished, true)
			s.real.BeginFinish(nil)
		}),
		"lose": act(func(t *rapid.T, s *spec) {
			if s.fate == Open {
				s.disown(Lost, false)
			}
			s.real.lost()
		}),
		"": m.check,
	}
}

// check compares everything that can be seen.
func (m *machine) check(t *rapid.T) {
	live := 0
	for _, s := range m.all {
		if s.real.State() != s.state || s.real.End() != s.end {
			t.Fatalf("%s is %v, %v; want %v, %v", s.name, s.real.State(), s.real.End(), s.state, s.end)
		}
		freed := 0
		if s.state == Released {
			freed = 1
		} else {
			live++
		}
		if s.real.freed != freed {
			t.Fatalf("%s was released %d times, want %d", s.name, s.real.freed, freed)
		}
	}
	wanted, actual := slices.Sorted(slices.Values(m.wanted)), slices.Sorted(slices.Values(m.actual))
	if !slices.Equal(wanted, actual) {
		t.Fatalf("released %v, want %v", actual, wanted)
	}
	for _, s := range m.all { // children before parents
		if s.parent != nil && s.state == Released {
			p := slices.Index(m.actual, s.parent.name)
			if p >= 0 && p < slices.Index(m.actual, s.name) {
				t.Fatalf("%s was released before its child %s", s.parent.name, s.name)
			}
		}
	}
	if n := len(Snapshot(&m.all[0].real.Node)); m.all[0].state != Released && n != live {
		t.Fatalf("the snapshot has %d resources, want %d", n, live)
	}
}

// TestMachine drives random trees of mixed policies against the specification.
func TestMachine(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{ctx: ctx}
		m.add(t, nil, nil)
		t.Repeat(m.actions())
		// Whatever happened: a shutdown ends it, once the operations leave.
		root := m.all[0]
		root.force(Closing, ShutDown)
		root.real.BeginShutdown(nil)
		for _, s := range m.all {
			for ; s.ops > 0; s.ops-- {
				s.real.Leave()
			}
		}
		for _, s := range m.all {
			if s.real.State() != Released || s.real.freed != 1 {
				t.Fatalf("at the end %s is %v, released %d times", s.name, s.real.State(), s.real.freed)
			}
		}
	})
}
