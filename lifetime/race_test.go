package lifetime_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"relayd/lifetime"
)

// The rows of the matrix that are races: each is run many times on real
// goroutines. The parts themselves watch for a release that comes twice, too
// early, or before that of a child.
const rounds = 2000

// race runs fns at once: none begins before all are there.
func race(fns ...func()) {
	var there atomic.Int32
	var done sync.WaitGroup
	for _, f := range fns {
		done.Go(func() {
			there.Add(1)
			for int(there.Load()) < len(fns) {
				runtime.Gosched()
			}
			f()
		})
	}
	done.Wait()
}

// eachRound runs a round under every policy in turn, as often as a row wants.
func eachRound(t *testing.T, rounds int, f func(t *testing.T, p lifetime.Policy)) {
	for _, p := range allPolicies {
		t.Run(p.String(), func(t *testing.T) {
			for range rounds {
				if f(t, p); t.Failed() {
					return
				}
			}
			nothingLeft(t)
		})
	}
}

// one fails the test unless got is one of the outcomes.
func one(t *testing.T, what, got string, of ...string) {
	t.Helper()
	for _, o := range of {
		if got == o {
			return
		}
	}
	t.Errorf("%s: %s, want one of %q", what, got, of)
}

func TestRow16AcquireRacesLastDrop(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds/2, func(t *testing.T, p lifetime.Policy) {
		// The parent's own drop is the last: the child wins or loses whole.
		s := newSock(t, p)
		var acquired, used, dropped string
		race(
			func() {
				acquired = outcome(t, s.r.join(readKind, p))
				if acquired == "ok" {
					used = outcome(t, s.r.use())
					s.r.BeginDrop()
				}
			},
			func() {
				left, err := s.p.Drop(ctx)
				dropped, _, _ = cutSpace(dropOutcome(t, left, err))
			},
		)
		<-s.p.Done()
		s.p.gone()
		if acquired == "ok" {
			s.r.gone()
		}
		switch p {
		case lifetime.Trap:
			one(t, "acquire", acquired, "ok", "trap", "trapped")
			one(t, "use", used, "", "ok", "trapped")
			one(t, "drop", dropped, "ok", "trap")
		case lifetime.Refcount:
			one(t, "acquire", acquired, "ok", "dropped")
			one(t, "use", used, "", "ok")
			one(t, "drop", dropped, "ok", "left")
		case lifetime.CloseChildren:
			one(t, "acquire", acquired, "ok", "dropped")
			one(t, "use", used, "", "ok", "closed")
			one(t, "drop", dropped, "ok")
		case lifetime.Block:
			one(t, "acquire", acquired, "ok", "dropped", "dropping")
			one(t, "use", used, "", "ok")
			one(t, "drop", dropped, "ok")
		}
	})
	// A clone, with the parent's owner gone: only the last child's drop.
	t.Run("clone", func(t *testing.T) {
		for range rounds {
			s := newPair(t, lifetime.Refcount)
			var cloned string
			race(
				func() { cloned = outcome(t, s.c.joinBeside(&s.r, readKind, lifetime.Refcount)) },
				func() { s.p.BeginDrop() },
				func() { s.r.BeginDrop() },
			)
			one(t, "clone", cloned, "ok", "dropped", "parent-dropped")
			if cloned == "ok" {
				want(t, "use of the clone", s.c.use(), "ok")
				s.c.BeginDrop()
				s.c.gone()
			}
			s.p.gone()
			s.r.gone()
		}
		nothingLeft(t)
	})
}

// cutSpace splits s at its first space.
func cutSpace(s string) (before, after string, found bool) {
	for i := range s {
		if s[i] == ' ' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func TestRow20TwoDrops(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds/2, func(t *testing.T, p lifetime.Policy) {
		s := newSock(t, p)
		outcomes := make(map[string]int)
		var mu sync.Mutex
		note := func(left lifetime.Left, err error) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[dropOutcome(t, left, err)]++
		}
		race(
			func() { note(s.p.Drop(ctx)) },
			func() { note(s.p.BeginDrop()) },
			func() { note(s.p.Drop(ctx)) },
		)
		s.p.gone()
		second := "dropped"
		if p == lifetime.Trap {
			second = "trap"
		}
		if outcomes["ok"] != 1 || outcomes[second] != 2 {
			t.Errorf("three drops: %v, want one ok and two %s", outcomes, second)
		}
	})
}

// With a child that is dropped at the same time still exactly one drop is
// through, under all policies but Trap, where one may trap instead.
func TestRow20TwoDropsAndTheLastChilds(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds, func(t *testing.T, p lifetime.Policy) {
		s := newPair(t, p)
		var mu sync.Mutex
		through, trapped, refused := 0, 0, 0
		drop := func() {
			_, err := s.p.Drop(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch got := outcome(t, err); got {
			case "ok":
				through++
			case "trap", "trap R":
				trapped++
			case "dropped":
				refused++
			default:
				t.Errorf("drop: %s", got)
			}
		}
		race(drop, drop, func() {
			if _, err := s.r.Drop(ctx); err != nil && outcome(t, err) != "trap" {
				t.Error(err)
			}
		})
		<-s.p.Done()
		s.p.gone()
		s.r.gone()
		if p == lifetime.Trap && trapped > 0 {
			return // Drop is nil on a trapped resource
		}
		if through != 1 || refused != 1 {
			t.Errorf("two drops: %d through, %d refused, %d trapped", through, refused, trapped)
		}
	})
}

func TestRow28ShutdownRacesAcquire(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds/2, func(t *testing.T, p lifetime.Policy) {
		s := newPair(t, p)
		var acquired, cloned string
		race(
			func() { acquired = outcome(t, s.w.join(writeKind, p)) },
			func() { cloned = outcome(t, s.c.joinBeside(&s.r, readKind, p)) },
			func() {
				if _, err := s.p.Shutdown(ctx, errFirst); err != nil {
					t.Error(err)
				}
				// Whatever was handed out is dead by now.
				for _, i := range lifetime.Snapshot(nil) {
					t.Errorf("after the shutdown there is %s, %v", i.Name, i.State)
				}
			},
		)
		one(t, "acquire", acquired, "ok", "shutdown")
		one(t, "clone", cloned, "ok", "shutdown")
		s.p.gone()
		for _, half := range []*part{&s.w, &s.c} {
			if !half.born() {
				continue
			}
			half.gone()
			want(t, "use of a half that won", half.use(), "shutdown")
		}
	})
}

func TestRow30ShutdownRacesLastDrop(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds, func(t *testing.T, p lifetime.Policy) {
		s := newPair(t, p)
		s.p.owes.Store(true)
		s.r.BeginDrop()
		var dropped, report string
		race(
			func() {
				left, err := s.p.BeginDrop()
				dropped = dropOutcome(t, left, err)
			},
			func() {
				r, err := s.p.Shutdown(ctx, errFirst)
				report = outcome(t, err)
				if r.End != lifetime.ShutDown {
					t.Errorf("the report's end is %v: the drain was not cut", r.End)
				}
			},
		)
		// Either way the drop is nil: it won, or was on a dead resource.
		one(t, "drop", dropped, "ok")
		one(t, "shutdown", report, "ok")
		s.p.gone()
		wantEnd(t, &s.p, lifetime.ShutDown)
		if s.p.cut != nil {
			want(t, "cause of the cut", s.p.cut, "shutdown")
		}
	})
}

func TestRow31ManyShutdowns(t *testing.T) {
	ctx := context.Background()
	eachRound(t, rounds/2, func(t *testing.T, p lifetime.Policy) {
		s := newPair(t, p)
		op := make(chan error, 1)
		go func() { op <- s.r.wait(false) }()
		causes := []error{errFirst, errSecond, errReset}
		reports := make([]lifetime.Report, len(causes))
		var fns []func()
		for i, cause := range causes {
			fns = append(fns, func() {
				var err error
				reports[i], err = s.p.Shutdown(ctx, cause)
				if err != nil {
					t.Error(err)
				}
			})
		}
		race(fns...)
		s.p.gone()
		s.r.gone()
		again, _ := s.p.Shutdown(ctx, nil)
		for _, r := range reports {
			if !reflect.DeepEqual(r, again) {
				t.Errorf("two reports:\n%+v\n%+v", r, again)
			}
		}
		// One cause, everywhere.
		if got, wanted := fmt.Sprint(<-op), fmt.Sprint(lifetime.ErrShutdown, ": ", again.Cause); got != wanted {
			t.Errorf("operation: %s, want %s", got, wanted)
		}
	})
}

// An operation that begins and ends as the resource ends is never caught by
// the release, and never forgotten.
func TestOperationsRaceEveryEnd(t *testing.T) {
	ctx := context.Background()
	use := func(p *part) {
		for range 20 {
			if p.use() != nil {
				return
			}
			runtime.Gosched() // or the others never come
		}
	}
	ends := map[string]func(s *sock){
		"drop":     func(s *sock) { s.p.Drop(ctx) },
		"shutdown": func(s *sock) { s.p.Shutdown(ctx, errFirst) },
		"finish":   func(s *sock) { s.p.Finish(ctx, errFirst) },
		"child":    func(s *sock) { s.r.Drop(ctx); s.p.Drop(ctx) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			for range rounds / 2 {
				s := newPair(t, lifetime.CloseChildren)
				race(
					func() { end(s) },
					func() { use(&s.r) },
					func() { use(&s.p) },
				)
				<-s.p.Done()
				s.p.gone()
				s.r.gone()
			}
			nothingLeft(t)
		})
	}
}

// A hammerer does something random to a random part of a tree, again and again.
type hammerer struct {
	t     *testing.T
	rnd   *rand.Rand
	tree  [][]*part // by depth
	kinds [3]lifetime.Kind[part]
}

func (h *hammerer) any() *part {
	level := h.tree[h.rnd.IntN(len(h.tree))]
	return level[h.rnd.IntN(len(level))]
}

func (h *hammerer) strike(ctx context.Context, p *part) {
	policy := allPolicies[h.rnd.IntN(len(allPolicies))]
	if !p.born() {
		if p.above == nil || p.above.born() {
			p.join(h.kinds[1], policy)
		}
		return
	}
	switch h.rnd.IntN(12) {
	case 0:
		p.BeginDrop()
	case 1:
		p.Drop(ctx)
	case 2:
		p.BeginShutdown(errFirst)
	case 3:
		p.Finish(ctx, errSecond)
	case 4:
		p.Shutdown(ctx, errSecond)
	case 5:
		p.Ended(lifetime.Failed, errReset)
	case 6:
		lifetime.Snapshot(&p.Node)
	default:
		p.use()
	}
}

// beside makes a clone of a random leaf.
func (h *hammerer) beside() {
	leaf := h.tree[2][h.rnd.IntN(len(h.tree[2]))]
	if !leaf.born() {
		return
	}
	clone := new(part)
	clone.prepare(h.t, leaf.above)
	if clone.joinBeside(leaf, h.kinds[2], lifetime.Refcount) == nil {
		clone.use()
		clone.BeginDrop()
	}
}

// TestHammer makes everything happen at once on trees of depth three. The end
// is always the same: all released, children first, each once.
func TestHammer(t *testing.T) {
	const hands, strikes, leaves = 4, 40, 3
	for round := range uint64(150) {
		tree := make([][]*part, 3)
		add := func(depth int, above *part) *part {
			p := new(part)
			p.prepare(t, above)
			p.owes.Store(depth == 1)
			p.pay <- nil
			tree[depth] = append(tree[depth], p)
			return p
		}
		root := add(0, nil)
		root.join(socketKind, allPolicies[round%4])
		for range 2 {
			branch := add(1, root)
			branch.join(readKind, lifetime.CloseChildren)
			for range leaves {
				add(2, branch).join(writeKind, lifetime.Refcount)
			}
		}
		gone, end := context.WithCancel(context.Background())
		end() // nobody waits for what others do
		var fns []func()
		for hand := range uint64(hands) {
			h := &hammerer{t, rand.New(rand.NewPCG(round, hand)), tree, [3]lifetime.Kind[part]{socketKind, readKind, writeKind}}
			fns = append(fns, func() {
				for range strikes {
					h.strike(gone, h.any())
					h.beside()
				}
			})
		}
		race(fns...)
		if _, err := root.Shutdown(context.Background(), errSecond); err != nil {
			t.Fatal(err)
		}
		for _, level := range tree {
			for _, p := range level {
				if p.born() {
					p.gone()
				}
			}
		}
		nothingLeft(t)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}
