package lifetime_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// A finish is a drain of the whole tree: it waits for operations, then for what
// is owed, children before parents, each in its own time.
func TestFinishDrainsTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Refcount)
		s.w.join(writeKind, lifetime.Refcount)
		s.p.owes.Store(true)
		s.w.owes.Store(true)
		operation := make(chan error, 1)
		go func() { operation <- s.r.wait(false) }()
		synctest.Wait()

		var report lifetime.Report
		began := time.Now()
		done := make(chan error, 1)
		go func() {
			var err error
			report, err = s.p.Finish(t.Context(), errFirst)
			done <- err
		}()
		<-time.After(time.Minute)
		if s.r.State() != lifetime.Draining || s.r.cause != nil {
			t.Errorf("the busy child is %v, interrupted with %v", s.r.State(), s.r.cause)
		}
		s.r.more <- struct{}{}
		if err := <-operation; err != nil {
			t.Errorf("operation: %v", err)
		}
		<-time.After(time.Second)
		s.p.pay <- nil // has waited for its children to be done, not for their release
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.r.gone()
		s.w.gone()
		s.p.gone()
		wantEnd(t, &s.p, lifetime.Finished)
		wantEnd(t, &s.r, lifetime.Finished)
		wantEnd(t, &s.w, lifetime.Failed) // its linger of 2s is long over
		if report.End != lifetime.Finished || report.Cause != errFirst || len(report.Holders) != 2 {
			t.Errorf("report %+v", report)
		}
		if report.Took != time.Since(began) {
			t.Errorf("took %v, want %v", report.Took, time.Since(began))
		}
	})
}

// When its context ends, a finish becomes a shutdown: what is inside is
// interrupted, what drains is cut, and the report stays the same one.
func TestFinishCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Refcount)
		s.w.join(writeKind, lifetime.Refcount)
		s.w.owes.Store(true)
		operation := make(chan error, 1)
		go func() { operation <- s.r.wait(false) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.p.Finish(ctx, errFirst)
		if err != nil && !errors.Is(err, lifetime.ErrHoldersAlive) {
			t.Errorf("finish: %v", err)
		}
		want(t, "operation", <-operation, "shutdown")
		r, err := s.p.Shutdown(t.Context(), errSecond)
		want(t, "shutdown", err, "ok")
		if r.Cause != errFirst || r.End != lifetime.ShutDown || r.Took != time.Second {
			t.Errorf("report %+v", r)
		}
		want(t, "cause of the cut drain", s.w.cut, "shutdown")
		for _, p := range []*part{&s.p, &s.r, &s.w} {
			p.gone()
			wantEnd(t, p, lifetime.ShutDown)
		}
		again, err := s.p.Finish(ctx, errSecond) // with an ended context: it is over
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("a finish afterwards: %+v, %v", again, err)
		}
	})
}

// With nothing to wait for a finish is through whatever its context is.
func TestFinishOfTheIdle(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, p := range allPolicies {
		s := newPair(t, p)
		r, err := s.p.Finish(ended, errFirst)
		want(t, "finish", err, "ok")
		if r.End != lifetime.Finished || r.State != lifetime.Released {
			t.Errorf("report %+v", r)
		}
		s.p.gone()
		s.r.gone()
		want(t, "use", s.r.use(), "shutdown")
		_, err = s.r.BeginDrop()
		want(t, "drop", err, "ok")
	}
}

// A finish of what was dropped waits for what is owed, and cuts nothing.
func TestFinishOfTheDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Refcount)
		s.r.owes.Store(true)
		s.r.BeginDrop()
		s.p.BeginDrop()
		synctest.Wait()
		s.p.BeginFinish(errFirst)
		synctest.Wait()
		if s.r.State() != lifetime.Draining {
			t.Errorf("the draining child is %v", s.r.State())
		}
		s.r.pay <- nil
		r, err := s.p.Finish(t.Context(), errSecond)
		if err != nil || r.End != lifetime.Dropped || r.Cause != errFirst {
			t.Errorf("report %+v, %v", r, err)
		}
		wantEnd(t, &s.r, lifetime.Dropped)
	})
}

// A finish of an orphan takes its children's handles, and leaves what its own
// owner was told.
func TestFinishOfAnOrphan(t *testing.T) {
	s := newPair(t, lifetime.Refcount)
	s.p.BeginDrop()
	s.p.BeginFinish(errFirst)
	s.p.gone()
	wantEnd(t, &s.p, lifetime.Dropped)
	wantEnd(t, &s.r, lifetime.Finished)
	want(t, "use of the parent", s.p.use(), "dropped")
	want(t, "use of the child", s.r.use(), "shutdown")
}

// In a deep tree everything goes, from the leaves up.
func TestDeepTree(t *testing.T) {
	const depth = 400
	for name, end := range map[string]func(n *lifetime.Node) error{
		"shutdown": func(n *lifetime.Node) error { _, err := n.Shutdown(context.Background(), errFirst); return err },
		"finish":   func(n *lifetime.Node) error { _, err := n.Finish(context.Background(), errFirst); return err },
		"drop":     func(n *lifetime.Node) error { _, err := n.Drop(context.Background()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			parts := make([]part, depth)
			for i := range parts {
				var above *part
				if i > 0 {
					above = &parts[i-1]
				}
				parts[i].prepare(t, above)
				if err := parts[i].join(readKind, lifetime.CloseChildren); err != nil {
					t.Fatal(err)
				}
			}
			if err := end(&parts[0].Node); err != nil {
				t.Error(err)
			}
			for i := range parts {
				if parts[i].released.Load() != 1 {
					t.Fatalf("level %d was released %d times", i, parts[i].released.Load())
				}
			}
		})
	}
}
