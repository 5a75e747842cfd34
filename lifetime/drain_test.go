package lifetime_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// untilCut is a drain that ends only with its context.
func untilCut(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// The drain is nobody's but the resource's: neither who drops last nor who
// leaves last waits for it.
func TestDrainHasItsOwnGoroutine(t *testing.T) {
	t.Run("drop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newPair(t, lifetime.Refcount)
			s.p.owes.Store(true)
			s.r.owes.Store(true)
			left, err := s.p.Drop(t.Context())
			want(t, "drop", err, "ok")
			if left.Children != 1 {
				t.Errorf("left %d children", left.Children)
			}
			_, err = s.r.Drop(t.Context())
			want(t, "last drop", err, "ok")
			synctest.Wait()
			if s.r.State() != lifetime.Draining || s.p.State() != lifetime.Draining {
				t.Errorf("states %v and %v, want both draining", s.p.State(), s.r.State())
			}
			s.p.pay <- nil
			synctest.Wait()
			if s.p.State() != lifetime.Draining {
				t.Errorf("%v while a child drains", s.p.State())
			}
			s.r.pay <- nil
			<-s.p.Done()
			s.r.gone()
			s.p.gone()
			wantEnd(t, &s.p, lifetime.Dropped)
		})
	})
	t.Run("leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSock(t, lifetime.Refcount)
			s.p.owes.Store(true)
			if err := s.p.Enter(); err != nil {
				t.Fatal(err)
			}
			s.p.BeginDrop()
			synctest.Wait()
			s.p.Leave()
			s.p.pay <- nil
			<-s.p.Done()
			s.p.gone()
		})
	})
}

func TestDrainDeadline(t *testing.T) {
	for _, test := range []struct {
		name string
		kind lifetime.Kind[hooked]
		want time.Duration // 0 for none
	}{
		{"default", hookedKind, 2 * time.Second},
		{"five seconds", fiveKind, 5 * time.Second},
		{"none", endless, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hooked{onDrain: untilCut}
				h.put(t, test.kind, nil, lifetime.Refcount)
				began := time.Now()
				h.BeginDrop()
				if test.want == 0 {
					<-time.After(24 * time.Hour)
					if h.State() != lifetime.Draining {
						t.Errorf("%v after a day", h.State())
					}
					h.BeginShutdown(errFirst)
					<-h.Done()
					return
				}
				<-h.Done()
				if took := time.Since(began); took != test.want {
					t.Errorf("drained for %v, want %v", took, test.want)
				}
				if h.End() != lifetime.Failed || !errors.Is(h.Err(), context.DeadlineExceeded) {
					t.Errorf("ended as %v: %v", h.End(), h.Err())
				}
			})
		})
	}
}

// What cuts a drain is its context's cause, and becomes the end.
func TestDrainCut(t *testing.T) {
	for _, test := range []struct {
		name  string
		cut   func(s *sock)
		cause string
		end   lifetime.End
	}{
		{"shutdown", func(s *sock) { s.r.BeginShutdown(errFirst) }, "shutdown", lifetime.ShutDown},
		{"shutdown above", func(s *sock) { s.p.BeginShutdown(errFirst) }, "shutdown", lifetime.ShutDown},
		{"trap", func(s *sock) { s.r.BeginDrop() }, "trapped", lifetime.WasTrapped},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newPair(t, lifetime.Trap)
				s.r.owes.Store(true)
				s.r.BeginDrop()
				synctest.Wait()
				test.cut(s)
				<-s.r.Done()
				want(t, "cause of the cut", s.r.cut, test.cause)
				wantEnd(t, &s.r, test.end)
				s.p.BeginDrop()
				<-s.p.Done()
			})
		})
	}
	t.Run("by a drop above", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newPair(t, lifetime.CloseChildren)
			grandchild := new(part)
			grandchild.prepare(t, &s.r)
			grandchild.join(writeKind, lifetime.Refcount)
			grandchild.owes.Store(true)
			grandchild.BeginDrop()
			synctest.Wait()
			if _, err := s.p.Drop(t.Context()); err != nil {
				t.Error(err)
			}
			want(t, "cause of the cut", grandchild.cut, "closed")
			wantEnd(t, grandchild, lifetime.ClosedByParent)
		})
	})
	// Only live children are closed: what a dropped one owes is finished.
	t.Run("not by its parent's drop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newPair(t, lifetime.CloseChildren)
			s.w.join(writeKind, lifetime.Refcount)
			s.r.owes.Store(true)
			s.r.BeginDrop()
			synctest.Wait()
			s.p.BeginDrop()
			synctest.Wait()
			s.w.gone()
			if s.r.State() != lifetime.Draining {
				t.Errorf("the dropped child is %v", s.r.State())
			}
			s.r.pay <- nil
			<-s.p.Done()
			wantEnd(t, &s.r, lifetime.Dropped)
			wantEnd(t, &s.w, lifetime.ClosedByParent)
		})
	})
}

// A shutdown may come between the last drop and the drain's begin. The drain
// then begins with its context ended, for the same reason, even when the peer
// had finished before.
func TestDrainCutBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut error
		h := new(hooked)
		h.onOwed = func() bool {
			h.BeginShutdown(errFirst)
			return true
		}
		h.onDrain = func(ctx context.Context) error {
			cut = context.Cause(ctx)
			return cut
		}
		h.put(t, hookedKind, nil, lifetime.Refcount)
		h.Ended(lifetime.PeerClosed, nil)
		h.BeginDrop()
		<-h.Done()
		want(t, "cause of the cut", cut, "shutdown")
		if h.Err() != io.EOF {
			t.Errorf("Err is %v, but the peer finished first", h.Err())
		}
	})
}

func TestDrainFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(h *hooked)
		end    lifetime.End
		err    error
	}{
		{"after a drop", func(h *hooked) { h.BeginDrop() }, lifetime.Failed, errReset},
		{"after a finish", func(h *hooked) { h.BeginFinish(errFirst) }, lifetime.Failed, errReset},
		{"after the peer's end", func(h *hooked) { h.Ended(lifetime.PeerClosed, nil); h.BeginDrop() }, lifetime.PeerClosed, io.EOF},
		{"after a failure", func(h *hooked) { h.Ended(lifetime.Failed, errSecond); h.BeginDrop() }, lifetime.Failed, errSecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &hooked{onDrain: func(context.Context) error { return errReset }}
			h.put(t, hookedKind, nil, lifetime.Refcount)
			test.before(h)
			<-h.Done()
			if h.End() != test.end || h.Err() != test.err {
				t.Errorf("ended as %v: %v, want %v: %v", h.End(), h.Err(), test.end, test.err)
			}
		})
	}
}

// Without anything owed there is no goroutine: the last drop releases.
func TestNothingOwed(t *testing.T) {
	for name, kind := range map[string]lifetime.Kind[hooked]{"owed says no": hookedKind, "no drain": bareKind} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			h := &hooked{
				onOwed:  func() bool { asked++; return false },
				onDrain: func(context.Context) error { t.Error("drained"); return nil },
			}
			h.put(t, kind, nil, lifetime.Refcount)
			h.BeginDrop()
			if h.State() != lifetime.Released || !isDone(&h.Node) {
				t.Errorf("%v after the last drop", h.State())
			}
			if kind == hookedKind && asked != 1 {
				t.Errorf("Owed was called %d times", asked)
			}
		})
	}
}

// A drain begins after the last operation has left, with all of its time.
func TestDrainWaitsForOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began time.Time
		h := &hooked{onDrain: func(ctx context.Context) error {
			began = time.Now()
			return untilCut(ctx)
		}}
		h.put(t, hookedKind, nil, lifetime.Refcount)
		if err := h.Enter(); err != nil {
			t.Fatal(err)
		}
		h.BeginFinish(errFirst)
		const long = 10 * time.Second
		called := time.Now()
		<-time.After(long)
		if !began.IsZero() {
			t.Error("drained with an operation inside")
		}
		h.Leave()
		<-h.Done()
		if waited := began.Sub(called); waited != long {
			t.Errorf("the drain began after %v, want %v", waited, long)
		}
		if drained := time.Since(began); drained != 2*time.Second {
			t.Errorf("the drain had %v, want 2s", drained)
		}
	})
}

// A drain that does not hear its context keeps a shutdown waiting, and is named.
func TestDeafDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hear := make(chan struct{})
		h := &hooked{onDrain: func(context.Context) error { <-hear; return nil }}
		h.put(t, hookedKind, nil, lifetime.Refcount)
		h.BeginDrop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := h.Shutdown(ctx, errFirst)
		if got, wanted := outcome(t, err), "alive P"; got != wanted || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if r.State != lifetime.Closing {
			t.Errorf("report says %v", r.State)
		}
		close(hear)
		r, err = h.Shutdown(t.Context(), errSecond)
		if err != nil || r.State != lifetime.Released || r.Cause != errFirst || r.Took != time.Second {
			t.Errorf("final report %+v, %v", r, err)
		}
	})
}
