package lifetime_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"relayd/lifetime"
)

// mustPanic fails the test unless f panics with a text of this package that
// contains want.
func mustPanic(t *testing.T, what, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		got := fmt.Sprint(recover())
		if !strings.HasPrefix(got, "lifetime: ") || !strings.Contains(got, want) {
			t.Errorf("%s: panic %q, want one about %q", what, got, want)
		}
	}()
	f()
}

// A resource that is not in a tree yet cannot be used, and says so. Afterwards
// it can still be put into one.
func TestUseBeforeInit(t *testing.T) {
	ctx := context.Background()
	for name, use := range map[string]func(n *lifetime.Node){
		"Enter":         func(n *lifetime.Node) { n.Enter() },
		"Drop":          func(n *lifetime.Node) { n.Drop(ctx) },
		"BeginDrop":     func(n *lifetime.Node) { n.BeginDrop() },
		"Shutdown":      func(n *lifetime.Node) { n.Shutdown(ctx, nil) },
		"BeginShutdown": func(n *lifetime.Node) { n.BeginShutdown(nil) },
		"Finish":        func(n *lifetime.Node) { n.Finish(ctx, nil) },
		"BeginFinish":   func(n *lifetime.Node) { n.BeginFinish(nil) },
		"Done":          func(n *lifetime.Node) { n.Done() },
		"SetGrace":      func(n *lifetime.Node) { n.SetGrace(1) },
		"Ended":         func(n *lifetime.Node) { n.Ended(lifetime.Failed, errReset) },
		"Init below":    func(n *lifetime.Node) { bareKind.Init(new(hooked), n, 0) },
		"InitBeside":    func(n *lifetime.Node) { bareKind.InitBeside(new(hooked), n, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			h := new(hooked)
			mustPanic(t, name, "before its Init", func() { use(&h.Node) })
			h.put(t, hookedKind, nil, lifetime.Refcount)
			if err := h.Enter(); err != nil || len(lifetime.Snapshot(nil)) != 1 {
				t.Errorf("afterwards: %v, %v", err, lifetime.Snapshot(nil))
			}
			h.Leave()
			h.BeginDrop()
			<-h.Done()
		})
	}
}

// What only looks does not panic.
func TestLookBeforeInit(t *testing.T) {
	h := new(hooked)
	if h.State().String() != "unborn" || h.ID() != 0 || h.End() != lifetime.Open || h.Err() != nil || h.Policy() != lifetime.Refcount {
		t.Errorf("%v, id %d, %v, %v", h.State(), h.ID(), h.End(), h.Err())
	}
	if h.Name() != "unborn" || lifetime.Snapshot(&h.Node) != nil {
		t.Errorf("%s, %v", h.Name(), lifetime.Snapshot(&h.Node))
	}
	if _, ok := hookedKind.Of(&h.Node); ok {
		t.Error("is of a kind")
	}
}

func TestInitTwice(t *testing.T) {
	h, other := new(hooked), new(hooked)
	h.put(t, hookedKind, nil, lifetime.Refcount)
	other.put(t, hookedKind, nil, lifetime.Refcount)
	id := h.ID()
	again := func() {
		t.Helper()
		for _, parent := range []*lifetime.Node{nil, &other.Node} {
			want(t, "second Init", hookedKind.Init(h, parent, lifetime.Block), "taken")
		}
		want(t, "InitBeside", hookedKind.InitBeside(h, &other.Node, lifetime.Block), "taken")
		if h.ID() != id || h.Policy() != lifetime.Refcount {
			t.Error("a second Init changed the resource")
		}
	}
	again()
	h.BeginDrop()
	again() // nor after its release: a handle is one-shot
	// With a parent that is of no use the parent's error is the answer.
	other.BeginDrop()
	want(t, "second Init below a dropped parent", hookedKind.Init(h, &other.Node, lifetime.Block), "dropped")
}

func TestInitFailsWhole(t *testing.T) {
	parent, h := new(hooked), new(hooked)
	parent.put(t, hookedKind, nil, lifetime.Refcount)
	parent.BeginDrop()
	want(t, "Init", hookedKind.Init(h, &parent.Node, 0), "dropped")
	if h.State().String() != "unborn" {
		t.Errorf("%v after an Init that failed", h.State())
	}
	h.put(t, hookedKind, nil, lifetime.Refcount) // elsewhere
	h.BeginDrop()
}

func TestNewKindWithoutNode(t *testing.T) {
	type second struct {
		_ int
		lifetime.Node
	}
	type pointer struct{ *lifetime.Node }
	type empty struct{}
	type deep struct{ _ struct{ lifetime.Node } }
	const what = "first field"
	mustPanic(t, "second", what, func() { lifetime.NewKind(lifetime.Hooks[second]{}) })
	mustPanic(t, "pointer", what, func() { lifetime.NewKind(lifetime.Hooks[pointer]{}) })
	mustPanic(t, "empty", what, func() { lifetime.NewKind(lifetime.Hooks[empty]{}) })
	mustPanic(t, "deep", what, func() { lifetime.NewKind(lifetime.Hooks[deep]{}) })
	mustPanic(t, "int", what, func() { lifetime.NewKind(lifetime.Hooks[int]{}) })
	mustPanic(t, "node", what, func() { lifetime.NewKind(lifetime.Hooks[lifetime.Node]{}) })
}

func TestEndedWithOtherEnds(t *testing.T) {
	h := new(hooked)
	h.put(t, hookedKind, nil, lifetime.Refcount)
	for _, e := range []lifetime.End{lifetime.Open, lifetime.Dropped, lifetime.WasTrapped, lifetime.ClosedByParent,
		lifetime.ShutDown, lifetime.Finished, lifetime.Lost, lifetime.End(99)} {
		mustPanic(t, e.String(), "not "+e.String(), func() { h.Ended(e, nil) })
	}
	if h.End() != lifetime.Open {
		t.Errorf("ended as %v", h.End())
	}
	h.BeginDrop()
}

// Under trap a use after the drop is found, and named for what it is.
func TestTrapMisuse(t *testing.T) {
	for op, misuse := range map[string]func(h *hooked) error{
		"enter":   func(h *hooked) error { return h.Enter() },
		"drop":    func(h *hooked) error { _, err := h.Drop(context.Background()); return err },
		"acquire": func(h *hooked) error { return bareKind.Init(new(hooked), &h.Node, 0) },
	} {
		t.Run(op, func(t *testing.T) {
			h := new(hooked)
			h.put(t, hookedKind, nil, lifetime.Trap)
			h.BeginDrop()
			err := misuse(h)
			want(t, op, err, "trap")
			if got, wanted := err.Error(), op+" "+h.Name()+": trapped: it was dropped before"; got != wanted {
				t.Errorf("error text %q, want %q", got, wanted)
			}
			if h.End() != lifetime.Dropped {
				t.Errorf("a misuse after the release changed the end to %v", h.End())
			}
		})
	}
}

// A trap poisons all below, and nothing above or beside.
func TestTrapStaysInItsTree(t *testing.T) {
	root := new(hooked)
	root.put(t, hookedKind, nil, lifetime.Refcount)
	beside := new(hooked)
	beside.put(t, hookedKind, &root.Node, lifetime.Trap)
	top, middle, leaf := new(hooked), new(hooked), new(hooked)
	top.put(t, hookedKind, &root.Node, lifetime.Trap)
	middle.put(t, hookedKind, &top.Node, lifetime.Refcount)
	leaf.put(t, hookedKind, &middle.Node, lifetime.Block)
	_, err := top.BeginDrop()
	if outcome(t, err) == "ok" {
		t.Error("no trap")
	}
	for _, h := range []*hooked{top, middle, leaf} {
		want(t, "use", h.Enter(), "trapped")
		if h.State() != lifetime.Released || h.End() != lifetime.WasTrapped {
			t.Errorf("%v, %v", h.State(), h.End())
		}
	}
	for _, h := range []*hooked{root, beside} {
		want(t, "use of others", h.Enter(), "ok")
		h.Leave()
	}
	beside.BeginDrop()
	root.BeginDrop()
	<-root.Done()
}
