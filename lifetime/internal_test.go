package lifetime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// What cannot be brought about from outside: counters that are full, and the
// steps between the two halves of one.

// A plain resource has no hooks.
type plain struct{ Node }

var plainKind = NewKind(Hooks[plain]{Name: "plain"})

func newPlain(t *testing.T, parent *Node, p Policy) *Node {
	t.Helper()
	n := new(plain)
	if err := plainKind.Init(n, parent, p); err != nil {
		t.Fatal(err)
	}
	return &n.Node
}

func mustState(t *testing.T, n *Node, s State) {
	t.Helper()
	if n.State() != s {
		t.Errorf("%s is %v, want %v", n.Name(), n.State(), s)
	}
}

func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size > 48 {
		t.Errorf("a Node has %d bytes, want 48 at most", size)
	}
}

// The fields of a word do not run into each other, full or empty.
func TestWordFields(t *testing.T) {
	for _, children := range []int{0, 1, countMask} {
		for _, owed := range []int{0, 1, countMask} {
			for _, ops := range []int{0, 1, opMask} {
				w := word(Closing) | owner | watched | word(children)*oneChild | word(owed)*oneOwed | word(ops)*oneOp
				if w.children() != children || int(w/oneOwed&countMask) != owed || w.ops() != ops || w.state() != Closing || !w.owned() {
					t.Errorf("%d children, %d owed, %d operations read as %d, %d, %d, %v",
						children, owed, ops, w.children(), w/oneOwed&countMask, w.ops(), w.state())
				}
				if free := children+owed+ops == 0; w.releasable() != free || (w | claimed).releasable() {
					t.Errorf("with %d, %d, %d releasable is %v", children, owed, ops, w.releasable())
				}
			}
		}
	}
}

// The operation that has no room is refused; it does not wait for room.
func TestOperationsFull(t *testing.T) {
	const most = int(opsFull/oneOp) - 1
	n := newPlain(t, nil, Refcount)
	for i := range most {
		if err := n.Enter(); err != nil {
			t.Fatalf("operation %d: %v", i+1, err)
		}
	}
	refused := make(chan error, 1)
	go func() { refused <- n.Enter() }()
	select {
	case err := <-refused:
		if err != errFull {
			t.Errorf("operation %d: %v, want %v", most+1, err, errFull)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Enter does not return while there is no room")
	}
	// A child needs none of that room.
	newPlain(t, n, Refcount).BeginDrop()
	n.Leave()
	if err := n.Enter(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	n.BeginDrop()
	for range most {
		n.Leave()
	}
	mustState(t, n, Released)
}

func TestChildrenFull(t *testing.T) {
	n := newPlain(t, nil, Refcount)
	n.add(oneChild * countMask)
	c := new(plain)
	if err := plainKind.Init(c, n, Refcount); err != errFull {
		t.Errorf("a child too many: %v, want %v", err, errFull)
	}
	if err := n.Enter(); err != nil {
		t.Errorf("an operation, which needs no room for children: %v", err)
	}
	n.Leave()
	n.sub(oneChild)
	if err := plainKind.Init(c, n, Refcount); err != nil {
		t.Errorf("with room again: %v", err)
	}
	c.BeginDrop()
	n.sub(oneChild * (countMask - 1))
	n.BeginDrop()
	mustState(t, n, Released)
}

// A Leave too many is found at once, and harms nobody but its caller.
func TestLeaveWithoutEnter(t *testing.T) {
	leave := func(n *Node) (panicked any) {
		defer func() { panicked = recover() }()
		n.Leave()
		return nil
	}
	n := newPlain(t, nil, Refcount)
	if leave(n) == nil {
		t.Error("Leave without Enter does not panic")
	}
	for range 2 {
		if err := n.Enter(); err != nil {
			t.Fatal(err)
		}
		if p := leave(n); p != nil {
			t.Errorf("the Leave of an Enter panics after one without: %v", p)
		}
	}
	n.BeginDrop()
	mustState(t, n, Released)
	if leave(n) == nil {
		t.Error("Leave of a released resource does not panic")
	}
}

// loseChild is the first half of a child's end, childDone: the count is down,
// and nobody has looked at it yet.
func loseChild(n *Node) { n.add(oneOwed - oneChild) }

// A block drop that gives up in that moment leaves the owner with what it had.
func TestGivingUpBeforeTheLastChildIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPlain(t, nil, Block)
		n.add(oneChild)
		ctx, giveUp := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { _, err := n.Drop(ctx); result <- err }()
		synctest.Wait()
		loseChild(n)
		giveUp()
		if err := <-result; !errors.Is(err, ErrHoldersAlive) {
			t.Errorf("drop: %v", err)
		}
		n.retire() // the other half
		mustState(t, n, Live)
		if err := n.Enter(); err != nil {
			t.Errorf("the owner, who still owns, cannot enter: %v", err)
		}
		n.Leave()
		n.sub(oneOwed)
		if _, err := n.BeginDrop(); err != nil {
			t.Error(err)
		}
		mustState(t, n, Released)
	})
}

// A drop that begins in that moment is a second one, not another first.
func TestSecondDropBeforeTheLastChildIsNoticed(t *testing.T) {
	n := newPlain(t, nil, Block)
	n.add(oneChild)
	if _, err := n.BeginDrop(); err != nil {
		t.Fatal(err)
	}
	loseChild(n)
	if _, err := n.BeginDrop(); err != ErrDropping {
		t.Errorf("second drop: %v, want %v", err, ErrDropping)
	}
	n.retire()
	n.changed(n.sub(oneOwed))
	mustState(t, n, Released)
}

// A drop traps because of a child that is just about to say that it is done.
// The error names it all the same.
func TestTrapNamesTheChildThatIsGoing(t *testing.T) {
	n := newPlain(t, nil, Trap)
	c := newPlain(t, n, Refcount)
	c.word.Store(uint64(c.load().with(Draining)&^owner + oneOwed)) // the first half of retire
	_, err := n.BeginDrop()
	trap, ok := errors.AsType[*TrapError](err)
	if !ok || !slices.Equal(trap.Holders, []string{c.Name()}) {
		t.Errorf("drop: %v, want a trap by %s", err, c.Name())
	}
	n.childDone()
	c.changed(c.sub(oneOwed))
	mustState(t, n, Released)
}

// Somebody may look at a resource that is being released while an Enter, which
// is going to fail, has counted itself in. The release must wake him: the Enter
// will not find that anybody waits.
func TestReleaseWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := false
		releasing = func(n *Node) {
			n.add(oneOp) // the first half of Enter
			go func() {
				n.wait(nil, noOps)
				woken = true
			}()
			synctest.Wait()
			if woken {
				t.Error("nobody waits")
			}
		}
		defer func() { releasing = func(*Node) {} }()
		n := new(plain)
		if err := releasedKind.Init(n, nil, Refcount); err != nil {
			t.Fatal(err)
		}
		n.BeginDrop()
		n.Leave() // the second half
		synctest.Wait()
		if !woken {
			t.Error("whoever waits was not woken")
		}
	})
}

// releasing is what the release of a releasedKind does.
var (
	releasing    = func(*Node) {}
	releasedKind = NewKind(Hooks[plain]{Name: "released", Release: func(p *plain) { releasing(&p.Node) }})
)

// A grace that is over in good time leaves no timer behind, which would keep the
// resource from the garbage collector.
func TestGraceTimerIsStopped(t *testing.T) {
	for name, end := range map[string]func(n, child *Node){
		"last child": func(_, child *Node) { child.BeginDrop() },
		"shutdown":   func(n, _ *Node) { n.BeginShutdown(nil) },
	} {
		n := newPlain(t, nil, Refcount)
		c := newPlain(t, n, Refcount)
		n.SetGrace(time.Hour)
		n.BeginDrop()
		if n.attendant().expiry == nil {
			t.Errorf("%s: no grace", name)
		}
		end(n, c)
		mustState(t, n, Released)
		if n.attendant().expiry != nil {
			t.Errorf("%s: the grace goes on", name)
		}
	}
}

// A parent that lives long keeps nothing of the children that are gone, in
// whatever order they go, nor do they keep each other.
func TestReleasedChildrenAreForgotten(t *testing.T) {
	for _, attended := range []bool{false, true} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
			n := newPlain(t, nil, Refcount)
			children := []*Node{newPlain(t, n, Refcount), newPlain(t, n, Refcount), newPlain(t, n, Refcount)}
			if attended {
				n.SetGrace(0)
			}
			left := slices.Clone(children)
			for _, i := range order {
				c := children[i]
				c.BeginDrop()
				left = slices.DeleteFunc(left, func(l *Node) bool { return l == c })
				if got := n.kids(); !slices.Equal(got, left) || len(n.children(nil)) != len(left) {
					t.Errorf("attended %v, order %v: %d children are listed, want %d", attended, order, len(got), len(left))
				}
				if c.next != nil || c.prev != nil {
					t.Errorf("attended %v, order %v: a released child leads to others", attended, order)
				}
			}
			n.BeginDrop()
			mustState(t, n, Released)
		}
	}
}

// Ids are never given twice, however many are asked for at once.
func TestIDsAreUnique(t *testing.T) {
	const each, goroutines = 50_000, 4 // more than a tick has
	lists := make([][]uint64, goroutines)
	var wg sync.WaitGroup
	for g := range lists {
		wg.Go(func() {
			for range each {
				lists[g] = append(lists[g], newID())
			}
		})
	}
	wg.Wait()
	all := slices.Concat(lists...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != each*goroutines {
		t.Errorf("%d ids for %d calls", n, each*goroutines)
	}
	for _, l := range lists {
		if !slices.IsSorted(l) {
			t.Error("ids do not grow with time")
		}
	}
}

// An id that was borrowed from the next tick is of an age of nothing.
func TestAge(t *testing.T) {
	now := uint64(time.Since(start) / tick)
	for _, test := range []struct {
		made     uint64 // tick
		min, max time.Duration
	}{
		{now + 1, 0, 2 * tick},
		{now, 0, 3 * tick},
		{0, time.Duration(now) * tick, time.Duration(now+3) * tick},
	} {
		if got := age(test.made << seqBits); got < test.min || got > test.max {
			t.Errorf("made at tick %d of %d, %v old", test.made, now, got)
		}
	}
	if got := age(lastID.Load() + 1<<40); got != 0 {
		t.Errorf("made in the future, %v old", got)
	}
}

// NewKind and Named refuse the kind that has no number left.
func TestTooManyKinds(t *testing.T) {
	kindsMu.Lock()
	was := kindCount
	kindCount = maxKinds - 1
	kindsMu.Unlock()
	defer func() {
		kindsMu.Lock()
		defer kindsMu.Unlock()
		kindCount = was
	}()
	for name, f := range map[string]func(){
		"NewKind": func() { NewKind(Hooks[plain]{}) },
		"Named":   func() { plainKind.Named("other") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}
