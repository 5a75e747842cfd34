package lifetime_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
)

// A lease is what a user is given instead of the part itself.
type lease struct{ part *part }

// newLease returns a watched lease of a part that is in the tree.
//
//go:noinline
func newLease(p *part) *lease {
	l := &lease{p}
	lifetime.Watch(l, &p.Node)
	return l
}

// lose makes a lease and forgets it.
//
//go:noinline
func lose(p *part) { newLease(p) }

// collected runs the garbage collector until something is sent.
func collected[T any](t *testing.T, sent <-chan T) (v T) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	deadline := time.After(30 * time.Second)
	for {
		runtime.GC()
		select {
		case v = <-sent:
			return v
		case <-again.C:
		case <-deadline:
			t.Fatal("nothing was collected")
		}
	}
}

// Row 40 of the matrix: the child's owner is collected without a drop, after
// the parent's drop and before.
func TestRow40LostOwner(t *testing.T) {
	for _, p := range allPolicies {
		t.Run("row40/"+p.String(), func(t *testing.T) {
			reports := listen(t, lifetime.LeakReport)
			s := newPair(t, p)
			dropped := make(chan string, 1)
			go func() {
				left, err := s.p.Drop(context.Background())
				dropped <- dropOutcome(t, left, err)
			}()
			want := map[lifetime.Policy]string{
				lifetime.Trap: "trap R", lifetime.Refcount: "left R", lifetime.CloseChildren: "ok",
			}[p]
			if p != lifetime.Block {
				// What is not collected yet counts as a live child.
				if got := <-dropped; got != want {
					t.Errorf("drop of the parent: %s, want %s", got, want)
				}
			}
			lose(&s.r)
			if p == lifetime.Refcount || p == lifetime.Block {
				checkLost(t, s, collected(t, reports))
			}
			<-s.p.Done()
			if p == lifetime.Block {
				if got := <-dropped; got != "ok" {
					t.Errorf("the block drop that the report unblocks: %s", got)
				}
			}
			noReport(t, reports)
		})
		t.Run("row40b/"+p.String(), func(t *testing.T) {
			reports := listen(t, lifetime.LeakReport)
			s := newPair(t, p)
			lose(&s.r)
			checkLost(t, s, collected(t, reports))
			left, err := s.p.Drop(context.Background())
			if got := dropOutcome(t, left, err); got != "ok" {
				t.Errorf("drop of the parent after the report: %s", got)
			}
			<-s.p.Done() // the child's release may be about to end
			s.p.gone()
		})
	}
}

func checkLost(t *testing.T, s *sock, i lifetime.Info) {
	t.Helper()
	if i.ID != s.r.ID() || i.Name != s.r.Name() || i.End != lifetime.Lost || !i.Owned || i.State != lifetime.Live {
		t.Errorf("reported %+v", i)
	}
	<-s.r.Done()
	s.r.gone()
	wantEnd(t, &s.r, lifetime.Lost)
	want(t, "use", s.r.use(), map[bool]string{true: "trap", false: "dropped"}[s.r.Policy() == lifetime.Trap])
}

// noReport loses one more owner, and fails the test if that is not the only one
// reported.
func noReport(t *testing.T, reports <-chan lifetime.Info) {
	t.Helper()
	s := newSock(t, lifetime.Refcount)
	lose(&s.p)
	if i := collected(t, reports); i.ID != s.p.ID() {
		t.Errorf("reported %+v", i)
	}
	<-s.p.Done()
}

// A lost parent leaves its children what they need.
func TestLostParent(t *testing.T) {
	reports := listen(t, lifetime.LeakReport)
	s := newPair(t, lifetime.Refcount)
	lose(&s.p)
	if i := collected(t, reports); i.Children != 1 {
		t.Errorf("reported %+v", i)
	}
	want(t, "use of the child", s.r.use(), "ok")
	s.r.BeginDrop()
	<-s.p.Done()
	wantEnd(t, &s.p, lifetime.Lost)
	wantEnd(t, &s.r, lifetime.Dropped)
}

// A block drop that was begun waits no more when its owner is lost.
func TestLostWhileABlockDropWaits(t *testing.T) {
	reports := listen(t, lifetime.LeakReport)
	s := newPair(t, lifetime.Block)
	dropped := make(chan error, 1)
	go func() {
		_, err := s.p.Drop(context.Background())
		dropped <- err
	}()
	lose(&s.p)
	collected(t, reports)
	want(t, "drop", collected(t, dropped), "dropped")
	s.r.BeginDrop()
	<-s.p.Done()
	wantEnd(t, &s.p, lifetime.Lost)
}

// The handle is the owner only until its drop.
func TestDroppedIsNotLost(t *testing.T) {
	reports := listen(t, lifetime.LeakReport)
	for _, end := range []func(p *part){
		func(p *part) { p.BeginDrop() },
		func(p *part) { p.BeginShutdown(errFirst) },
	} {
		s := newSock(t, lifetime.Refcount)
		l := newLease(&s.p)
		end(l.part)
		runtime.KeepAlive(l)
	}
	orphan := newPair(t, lifetime.Refcount)
	l := newLease(&orphan.p)
	l.part.BeginDrop() // and lives on
	runtime.KeepAlive(l)
	noReport(t, reports)
	wantEnd(t, &orphan.p, lifetime.Dropped)
	orphan.r.BeginDrop()
	orphan.p.gone()
}

// An operation that outlives its handle is interrupted as by a drop.
func TestLostInterrupts(t *testing.T) {
	reports := listen(t, lifetime.LeakReport)
	s := newSock(t, lifetime.Refcount)
	operation := make(chan error, 1)
	go func() { operation <- s.p.wait(false) }()
	for lifetime.Snapshot(&s.p.Node)[0].Operations == 0 {
		<-time.After(time.Millisecond)
	}
	lose(&s.p)
	collected(t, reports)
	want(t, "operation", <-operation, "dropped")
	<-s.p.Done()
	wantEnd(t, &s.p, lifetime.Lost)
}

// The report says where the resource was made.
func TestLeakStack(t *testing.T) {
	listen(t, lifetime.LeakReport)
	s := newPair(t, lifetime.Refcount)
	for _, i := range lifetime.Snapshot(&s.p.Node) {
		first, _, _ := strings.Cut(i.Stack, "\n")
		if first != "relayd/lifetime_test.(*part).join" || !strings.Contains(i.Stack, "lifetime_test.TestLeakStack\n\t") {
			t.Errorf("%s was made at\n%s", i.Name, i.Stack)
		}
	}
	s.r.BeginDrop()
	s.p.BeginDrop()
	s.p.gone()
	lifetime.SetLeakLevel(lifetime.LeakOff, nil)
	s = newSock(t, lifetime.Refcount)
	if i := lifetime.Snapshot(&s.p.Node)[0]; i.Stack != "" {
		t.Errorf("at level off a stack is kept: %s", i.Stack)
	}
	s.p.BeginDrop()
}

// At level off nothing is watched: the resource outlives its lost owner.
func TestLeakOff(t *testing.T) {
	reports := listen(t, lifetime.LeakOff)
	s := newSock(t, lifetime.Refcount)
	gone := make(chan bool, 1)
	func() {
		l := newLease(&s.p)
		runtime.AddCleanup(l, func(c chan bool) { c <- true }, gone)
	}()
	collected(t, gone)
	if s.p.State() != lifetime.Live || len(reports) != 0 {
		t.Errorf("%v, %d reports", s.p.State(), len(reports))
	}
	s.p.BeginDrop()
}

// Without anybody to tell a lost resource is dropped all the same.
func TestLostWithoutReport(t *testing.T) {
	listen(t, lifetime.LeakReport)
	lifetime.SetLeakLevel(lifetime.LeakReport, nil)
	s := newSock(t, lifetime.Refcount)
	lose(&s.p)
	gone := make(chan bool)
	go func() { <-s.p.Done(); close(gone) }()
	collected(t, gone)
	wantEnd(t, &s.p, lifetime.Lost)
}

// strictEnv makes TestStrictChild, in a child of TestStrict, lose a handle.
const strictEnv = "RELAYD_LIFETIME_STRICT"

// At level strict the process dies, and says what was lost, where that was made,
// and what else there is.
func TestStrict(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStrictChild$", "-test.timeout=60s")
	child.Env = append(os.Environ(), strictEnv+"=1")
	out, err := child.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Fatalf("the child ended with %v\n%s", err, out)
	}
	for _, part := range []string{
		"panic: lifetime: lost without a drop: socket-",
		"lifetime_test.(*part).join\n",
		"lifetime_test.TestStrictChild\n",
		".read: live, owned, 0 children, 1 operations",
		": live, orphan, 1 children, 0 operations",
	} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the child's last words lack %q", part)
		}
	}
	if t.Failed() {
		t.Logf("the child's last words:\n%s", out)
	}
}

// TestStrictChild does nothing by itself.
func TestStrictChild(t *testing.T) {
	if os.Getenv(strictEnv) == "" {
		return
	}
	lifetime.SetLeakLevel(lifetime.LeakStrict, nil)
	held := newPair(t, lifetime.Refcount)
	held.p.BeginDrop()
	held.r.Enter()
	s := newSock(t, lifetime.Refcount)
	lose(&s.p)
	collected(t, s.p.Done())
	t.Fatal("the resource was dropped instead")
}
