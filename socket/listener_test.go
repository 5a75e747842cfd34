package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"relayd/lifetime"
)

func TestDropWakesAccept(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			l, err := Listen(t.Context(), address(t, text), nil)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				_, err := l.Accept()
				done <- err
			}()
			blocked(t, l.Resource())
			drop(t, l.Drop)
			if err := <-done; !errors.Is(err, lifetime.ErrDropped) {
				t.Errorf("Accept: %v", err)
			}
			// The address is free.
			again, err := Listen(t.Context(), l.Addr(), nil)
			if err != nil {
				t.Fatal(err)
			}
			drop(t, again.Drop)
		})
	}
}

// Closing a listener resets what its backlog holds: Stop hands it out first.
func TestStopServesBacklog(t *testing.T) {
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	var peers [n]net.Conn
	for i := range peers {
		if peers[i], err = net.Dial("tcp", l.Addr().address()); err != nil {
			t.Fatal(err)
		}
		defer peers[i].Close()
	}
	l.Stop()
	served := 0
	for {
		in, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		in.Refuse()
		served++
	}
	if served != n {
		t.Errorf("%d of %d were handed out", served, n)
	}
	drop(t, l.Drop)
}

// Who has reset his connection is known all the same: by where it was from he is let
// in or not, and is found in the log. The system tells only who accepts.
func TestStopKnowsWhoHasReset(t *testing.T) {
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer drop(t, l.Drop)
	peer, err := net.Dial("tcp", l.Addr().address())
	if err != nil {
		t.Fatal(err)
	}
	from := peer.LocalAddr().String()
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	l.Stop()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Refuse()
	if got := in.RemoteAddr(); got != from {
		t.Errorf("it is from %q, want %q", got, from)
	}
}

func TestListenErrors(t *testing.T) {
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	var e *Error
	if _, err := Listen(t.Context(), l.Addr(), nil); !errors.As(err, &e) || e.Op != "listen" {
		t.Errorf("a second listener at %s: %v", l.Addr(), err)
	}
	for _, text := range []string{"echo:", "discard:"} {
		if l, err := Listen(t.Context(), address(t, text), nil); err == nil {
			t.Errorf("listening at %s succeeded", text)
			l.Drop(t.Context())
		}
	}
}

// Sockets of memory behave as the others do.
func TestEcho(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	drop(t, s.dropOnly)
	io.WriteString(w, "hello")
	if !r.Ready() {
		t.Error("not ready with bytes at hand")
	}
	want(t, r, "hello")
	if r.Ready() {
		t.Error("ready with nothing at hand")
	}
	drop(t, w.Drop)
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read after the writer's end: %v", err)
	}
	drop(t, r.Drop)
	within(t, s.node.Done(), "the release")
}

func TestEchoBackpressureAndShutdown(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	_, w := halves(t, s)
	done := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, memoryLimit+1))
		done <- err
	}()
	blocked(t, w.Resource())
	if _, err := s.Shutdown(t.Context(), errTest); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errTest) {
		t.Errorf("Write: %v", err)
	}
}

func TestDiscard(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "discard:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	if n, err := w.Write(make([]byte, 10<<20)); n != 10<<20 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	drop(t, w.Drop)
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read: %v", err)
	}
	drop(t, r.Drop, s.dropOnly)
}

func TestDialErrors(t *testing.T) {
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, l.Drop)
	var e *Error
	if _, err := Dial(t.Context(), l.Addr(), At{}); !errors.As(err, &e) || e.Op != "dial" || e.Remote == "" {
		t.Errorf("dialling a closed port: %v", err)
	}
	// A parent that is gone takes no socket, and the connection does not leak.
	parent, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	drop(t, parent.dropOnly)
	if _, err := Dial(context.Background(), address(t, "echo:"), At{Parent: parent.Resource()}); !errors.Is(err, lifetime.ErrDropped) {
		t.Errorf("below a dropped parent: %v", err)
	}
}
