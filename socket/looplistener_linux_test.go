package socket

import (
	"errors"
	"net"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// A dropsAtEnd drops its listener when that accepts no more, and says what it is then.
type dropsAtEnd struct {
	l   *Listener
	was chan lifetime.State
}

func (*dropsAtEnd) Accepted(in Incoming)             { in.Refuse() }
func (*dropsAtEnd) AcceptFailed(error) time.Duration { return time.Second }

func (d *dropsAtEnd) AcceptEnded() {
	d.l.Resource().BeginDrop()
	d.was <- d.l.Resource().State()
}

// A listener that accepts no more is no loop's any more: who drops it then has its
// address free at once. Chaos found a reload that had removed a listener, and one
// after it that could not have the address.
func TestAcceptEndedIsTheEnd(t *testing.T) {
	leak.Check(t)
	ls := loops(t, 2)
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &dropsAtEnd{l, make(chan lifetime.State, 1)}
	if on, err := l.AcceptOn(ls, d); !on || err != nil {
		t.Fatal(on, err)
	}
	l.Stop()
	if state := <-d.was; state != lifetime.Released {
		t.Errorf("the listener is %v", state)
	}
	<-l.Resource().Done()
}

// A loop keeps nothing of a listener that has ended: a relay opens and closes them
// for as long as it is reloaded.
func TestListenersEndOnLoops(t *testing.T) {
	leak.Check(t)
	ls, err := StartLoops(2)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &dropsAtEnd{l, make(chan lifetime.State, 1)}
		if on, err := l.AcceptOn(ls, d); !on || err != nil {
			t.Fatal(on, err)
		}
		if err := ls.Ping(t.Context()); err != nil { // they accept
			t.Fatal(err)
		}
		l.Stop()
		<-d.was
	}
	ls.Stop()
	ls.Wait()
	for _, l := range ls.list {
		if len(l.posts) > 1 {
			t.Errorf("room for %d listeners, and there was one at a time", len(l.posts))
		}
		for _, p := range l.posts {
			if p != nil {
				t.Error("a listener that has ended is kept")
			}
		}
	}
}

// A listener may be shut down as it begins to accept on loops: it is whole or ended,
// and its descriptor is closed.
func TestAcceptOnBesideShutdown(t *testing.T) {
	leak.Check(t)
	ls := loops(t, 2)
	for range 200 {
		l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			<-begun
			l.Resource().BeginShutdown(nil)
		}()
		a := &acceptOne{make(chan Incoming, 1), make(chan struct{})}
		close(begun)
		on, err := l.AcceptOn(ls, a)
		<-ended
		if on {
			<-a.ended
		} else if !errors.Is(err, net.ErrClosed) {
			t.Errorf("not on loops: %v", err)
		}
		<-l.Resource().Done()
	}
}

// A failsOnce lets the listener's descriptor be what it is again when it has failed.
type failsOnce struct {
	acceptOne
	mend func()
}

func (f *failsOnce) AcceptFailed(error) time.Duration {
	f.mend()
	return 0
}

// An error that may pass is not the end of the backlog: it is accepted afterwards.
func TestStopOnLoopOutlivesErrors(t *testing.T) {
	leak.Check(t)
	on := still(t)
	ls := &Loops{list: []*Loop{on}}
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := net.Dial("tcp", l.Addr().address())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	a := &failsOnce{acceptOne: acceptOne{make(chan Incoming, 1), make(chan struct{})}}
	if ok, err := l.AcceptOn(ls, a); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ll := l.ln.(*loopListener)
	fd := ll.fd
	a.mend = func() { ll.fd = fd }
	ll.fd = -1 // as without descriptors: nothing is accepted
	l.Stop()
	for ended := false; !ended; {
		on.readInbox()
		select {
		case <-a.ended:
			ended = true
		default:
			on.poll()
		}
	}
	select {
	case in := <-a.in:
		in.Refuse()
	default:
		t.Error("the backlog was not accepted")
	}
	drop(t, l.Drop)
}
