package lifetime_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"relayd/lifetime"
)

// Every way to end is told apart, while the resource still drains and for ever
// after: in the future, in the handle's errors, and in the report.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		end    lifetime.End
		policy lifetime.Policy
		do     func(s *sock) // to R, below P
		err    string        // Err
		use    string        // what the handle is told
	}{
		{lifetime.Dropped, lifetime.Refcount, func(s *sock) { s.r.BeginDrop() }, "dropped", "dropped"},
		{lifetime.WasTrapped, lifetime.Trap, func(s *sock) { s.p.BeginDrop() }, "trapped", "trapped"},
		{lifetime.ClosedByParent, lifetime.CloseChildren, func(s *sock) { s.p.BeginDrop() }, "closed", "closed"},
		{lifetime.ShutDown, lifetime.Refcount, func(s *sock) { s.r.BeginShutdown(errFirst) }, "shutdown", "shutdown"},
		{lifetime.ShutDown, lifetime.Refcount, func(s *sock) { s.p.BeginShutdown(errFirst) }, "shutdown", "shutdown"},
		{lifetime.Finished, lifetime.Refcount, func(s *sock) { s.r.BeginFinish(errFirst) }, "shutdown", "shutdown"},
		{lifetime.Finished, lifetime.Refcount, func(s *sock) { s.p.BeginFinish(errFirst) }, "shutdown", "shutdown"},
		{lifetime.PeerClosed, lifetime.Refcount, func(s *sock) { s.r.Ended(lifetime.PeerClosed, nil); s.r.BeginDrop() }, "EOF", "dropped"},
		{lifetime.Failed, lifetime.Refcount, func(s *sock) { s.r.Ended(lifetime.Failed, errReset); s.r.BeginDrop() }, errReset.Error(), "dropped"},
	} {
		t.Run(test.end.String(), func(t *testing.T) {
			s := newPair(t, test.policy)
			s.r.owes.Store(true)
			check := func() {
				t.Helper()
				if s.r.End() != test.end {
					t.Errorf("end %v, want %v", s.r.End(), test.end)
				}
				err := s.r.Err()
				checkErr(t, &s.r)
				if got := err.Error(); got != test.err && outcome(t, err) != test.err {
					t.Errorf("Err %q, want %s", got, test.err)
				}
				want(t, "use", s.r.use(), test.use)
			}
			wantEnd(t, &s.r, lifetime.Open)
			test.do(s)
			check()
			s.r.pay <- nil
			s.p.BeginDrop()
			<-s.r.Done()
			check()
			if r, err := s.r.Shutdown(context.Background(), errSecond); r.End != test.end || err != nil {
				t.Errorf("report says %v, %v", r.End, err)
			}
			<-s.p.Done()
		})
	}
}

// The first end counts. What our own side did hides what it looks like from
// outside; what came from outside before stays.
func TestEndPrecedence(t *testing.T) {
	type resource = *hooked
	peerClosed := func(h resource) { h.Ended(lifetime.PeerClosed, nil) }
	failed := func(h resource) { h.Ended(lifetime.Failed, errReset) }
	drop := func(h resource) { h.BeginDrop() }
	shutdown := func(h resource) { h.BeginShutdown(errFirst) }
	finish := func(h resource) { h.BeginFinish(errFirst) }
	for _, test := range []struct {
		name          string
		first, second func(resource)
		end           lifetime.End
	}{
		{"eof, reset", peerClosed, failed, lifetime.PeerClosed},
		{"reset, eof", failed, peerClosed, lifetime.Failed},
		{"eof, drop", peerClosed, drop, lifetime.PeerClosed},
		{"eof, shutdown", peerClosed, shutdown, lifetime.PeerClosed},
		{"reset, shutdown", failed, shutdown, lifetime.Failed},
		{"drop, eof", drop, peerClosed, lifetime.Dropped},
		{"drop, reset", drop, failed, lifetime.Failed}, // while what is owed was finished
		{"finish, eof", finish, peerClosed, lifetime.Finished},
		{"finish, reset", finish, failed, lifetime.Failed},
		{"shutdown, eof", shutdown, peerClosed, lifetime.ShutDown},
		{"shutdown, reset", shutdown, failed, lifetime.ShutDown}, // our own RST looks like theirs
		{"drop, shutdown", drop, shutdown, lifetime.ShutDown},
		{"finish, shutdown", finish, shutdown, lifetime.ShutDown},
		{"shutdown, drop", shutdown, drop, lifetime.ShutDown},
		{"shutdown, finish", shutdown, finish, lifetime.ShutDown},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := new(hooked)
			h.put(t, hookedKind, nil, lifetime.Refcount)
			h.Enter() // so that the release does not come between
			test.first(h)
			test.second(h)
			if h.End() != test.end {
				t.Errorf("ended as %v, want %v", h.End(), test.end)
			}
			h.BeginDrop()
			h.Leave()
			<-h.Done()
			before := h.Err()
			failed(h)
			peerClosed(h)
			if h.End() != test.end || h.Err().Error() != before.Error() {
				t.Errorf("after the release it is %v, %v", h.End(), h.Err())
			}
		})
	}
}

// An end that was recorded ends nothing: only a drop does.
func TestEndedIsNotADrop(t *testing.T) {
	s := newPair(t, lifetime.Refcount)
	s.r.Ended(lifetime.Failed, errReset)
	want(t, "use", s.r.use(), "ok")
	if s.r.State() != lifetime.Live || s.r.Err() != errReset {
		t.Errorf("%v, %v", s.r.State(), s.r.Err())
	}
	// It is the children's of nobody, and the parent's least of all.
	wantEnd(t, &s.p, lifetime.Open)
	if n := len(lifetime.Snapshot(&s.p.Node)); n != 2 {
		t.Errorf("%d resources in the tree, want 2", n)
	}
	s.r.BeginDrop()
	s.p.BeginDrop()
	s.p.gone()
}

// Done is one channel, and closed at the release, not at the last drop.
func TestDone(t *testing.T) {
	s := newPair(t, lifetime.Refcount)
	done := s.p.Done()
	s.p.BeginDrop()
	if isDone(&s.p.Node) {
		t.Error("done with a child alive")
	}
	s.r.Enter()
	s.r.BeginDrop()
	if isDone(&s.p.Node) || isDone(&s.r.Node) {
		t.Error("done with an operation inside")
	}
	s.r.Leave()
	<-done
	<-s.r.Done() // asked for after the release
	s.p.gone()
}

func TestErrorTable(t *testing.T) {
	for _, s := range sentinels {
		if got := errors.Is(s.err, net.ErrClosed); got != s.closed {
			t.Errorf("errors.Is(%q, net.ErrClosed) is %v", s.err, got)
		}
		if errors.Is(s.err, io.EOF) {
			t.Errorf("%q is io.EOF", s.err)
		}
		for _, o := range sentinels {
			if o.name != s.name && errors.Is(s.err, o.err) {
				t.Errorf("%q is %q", s.err, o.err)
			}
		}
	}
	trap := error(&lifetime.TrapError{Op: "drop", Name: "socket-1", Holders: []string{"socket-1.read", "socket-1.write"}})
	if !errors.Is(trap, lifetime.ErrTrapped) || !errors.Is(trap, net.ErrClosed) {
		t.Error("a TrapError is not ErrTrapped and net.ErrClosed")
	}
}

func TestErrorTexts(t *testing.T) {
	var many []string
	for range 12 {
		many = append(many, "x")
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&lifetime.TrapError{Op: "drop", Name: "socket-1", Holders: []string{"socket-1.read", "socket-1.write"}},
			"drop socket-1: trapped: still held by socket-1.read, socket-1.write"},
		{&lifetime.TrapError{Op: "drop", Name: "socket-1", Holders: many},
			"drop socket-1: trapped: still held by x, x, x, x, x, x, x, x, x, x and 2 more"},
		{&lifetime.TrapError{Op: "enter", Name: "socket-1.read"},
			"enter socket-1.read: trapped: it was dropped before"},
		{lifetime.ErrDropped, "resource dropped"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("error text\n%s, want\n%s", got, test.want)
		}
	}
	s := newSock(t, lifetime.Refcount)
	s.p.BeginShutdown(nil)
	if got := s.p.Err().Error(); got != "resource shut down: no cause given" {
		t.Errorf("without a cause: %s", got)
	}
}

func TestEndAndStateNames(t *testing.T) {
	for _, test := range []struct {
		value interface {
			String() string
			MarshalText() ([]byte, error)
		}
		want string
	}{
		{lifetime.Open, "open"}, {lifetime.Dropped, "dropped"}, {lifetime.WasTrapped, "trapped"},
		{lifetime.ClosedByParent, "closed-by-parent"}, {lifetime.ShutDown, "shutdown"},
		{lifetime.Finished, "finished"}, {lifetime.Lost, "lost"}, {lifetime.PeerClosed, "peer-closed"},
		{lifetime.Failed, "failed"}, {lifetime.End(99), "end(99)"},
		{lifetime.Live, "live"}, {lifetime.Dropping, "dropping"}, {lifetime.Trapped, "trapped"},
		{lifetime.Draining, "draining"}, {lifetime.Closing, "closing"}, {lifetime.Released, "released"},
		{lifetime.State(0), "unborn"}, {lifetime.State(99), "state(99)"},
	} {
		text, err := test.value.MarshalText()
		if got := test.value.String(); got != test.want || string(text) != test.want || err != nil {
			t.Errorf("%q, as text %q (%v), want %q", got, text, err, test.want)
		}
	}
}
