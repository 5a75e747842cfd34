package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"relayd/lifetime"
)

// Whoever has a half needs nothing else: in every order of the three drops the
// connection lives until the last, and then ends with FIN.
func TestDropOrders(t *testing.T) {
	for _, order := range []string{"SRW", "SWR", "RSW", "RWS", "WSR", "WRS"} {
		t.Run(order, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
				r, w := halves(t, s)
				for i, c := range order {
					switch c {
					case 'S':
						drop(t, s.dropOnly)
					case 'R':
						peer.Write([]byte("up"))
						want(t, r, "up")
						drop(t, r.Drop)
					case 'W':
						w.Write([]byte("down"))
						want(t, peer, "down")
						drop(t, w.Drop)
						if n, err := peer.Read(make([]byte, 1)); err != io.EOF {
							t.Fatalf("the peer read %d, %v after the write half's drop, want EOF", n, err)
						}
					}
					if i < 2 && s.node.State() != lifetime.Live {
						t.Fatalf("%v after %q", s.node.State(), order[:i+1])
					}
				}
				peer.CloseWrite() // ends the drain
			})
		})
	}
}

func TestHalvesOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		if _, err := s.Receive(); !errors.Is(err, lifetime.ErrTaken) || errors.Is(err, net.ErrClosed) {
			t.Errorf("second Receive: %v", err)
		}
		drop(t, r.Drop)
		if _, err := s.Receive(); !errors.Is(err, lifetime.ErrTaken) {
			t.Errorf("Receive after the half's drop: %v", err)
		}
		drop(t, s.dropOnly)
		if _, err := s.Send(); !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("Send after the socket's drop: %v", err)
		}
		if _, err := s.Drop(t.Context()); !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("second Drop: %v", err)
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, lifetime.ErrDropped) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Drop: %v", err)
		}
		drop(t, w.Drop)
		peer.Close()
	})
}

// tooMuch is more than any pair of socket buffers takes.
const tooMuch = 64 << 20

// The peer's FIN is EOF on the read half, for ever, and nothing to the write half.
func TestPeerFIN(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		peer.Write([]byte("last"))
		peer.CloseWrite()
		want(t, r, "last")
		for range 2 {
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("read %d, %v; want EOF as it is", n, err)
			}
		}
		if e := r.Resource().End(); e != lifetime.PeerClosed {
			t.Errorf("the read half's end is %v", e)
		}
		if _, err := w.Write([]byte("still here")); err != nil {
			t.Error(err)
		}
		want(t, peer, "still here")
		drop(t, r.Drop, w.Drop, s.dropOnly)
		if s.node.State() != lifetime.Released {
			t.Errorf("%v: with both FINs sent nothing is owed", s.node.State())
		}
	})
}

// One unread byte would turn close(2) into a reset that destroys what the peer
// has not read yet: the socket reads on instead.
func TestUnreadBytesCostNothing(t *testing.T) {
	const size = 4 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		peer.Write([]byte("x"))
		var got []byte
		var readErr error
		read := make(chan struct{})
		go func() {
			defer close(read)
			got, readErr = io.ReadAll(peer)
			peer.Close()
		}()
		drop(t, r.Drop)
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		drop(t, w.Drop, s.dropOnly)
		within(t, read, "the peer to read")
		if readErr != nil || !bytes.Equal(got, data) {
			t.Fatalf("the peer got %d of %d bytes: %v", len(got), size, readErr)
		}
	})
}

// Dropping one half ends its own operation, and not the other's.
func TestDropWakesOwnOperation(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		done := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 1))
			done <- err
		}()
		blocked(t, r.Resource())
		drop(t, r.Drop)
		if err := <-done; !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("the blocked Read returned %v", err)
		}
		if _, err := w.Write([]byte("on")); err != nil {
			t.Error(err)
		}
		want(t, peer, "on")

		go func() {
			_, err := w.Write(make([]byte, tooMuch))
			done <- err
		}()
		blocked(t, w.Resource())
		drop(t, w.Drop)
		if err := <-done; !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("the blocked Write returned %v", err)
		}
		drop(t, s.dropOnly)
		if _, err := io.Copy(io.Discard, peer); err == nil && isTCP(peer) {
			t.Error("the peer saw a clean end of a stream that was cut")
		}
	})
}

// isTCP reports whether c tells a reset from an end.
func isTCP(c net.Conn) bool {
	_, unix := c.(*net.UnixConn)
	return !unix
}

// A shutdown wakes both halves, resets the connection, and returns when it is
// closed.
func TestShutdown(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		done := make(chan error, 2)
		go func() {
			_, err := r.Read(make([]byte, 1))
			done <- err
		}()
		go func() {
			_, err := w.Write(make([]byte, tooMuch))
			done <- err
		}()
		blocked(t, r.Resource())
		blocked(t, w.Resource())
		report, err := s.Shutdown(t.Context(), errTest)
		if err != nil || report.State != lifetime.Released {
			t.Fatalf("%+v, %v", report, err)
		}
		for range 2 {
			if err := <-done; !errors.Is(err, lifetime.ErrShutdown) || !errors.Is(err, errTest) || IsReset(err) {
				t.Errorf("a blocked operation returned %v", err)
			}
		}
		if err := r.Drop(t.Context()); err != nil {
			t.Errorf("Drop after Shutdown: %v", err)
		}
		_, err = io.Copy(io.Discard, peer)
		if isTCP(peer) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer saw %v, want a reset", err)
		}
		if again, _ := s.Shutdown(t.Context(), nil); again.Took != report.Took || again.Cause != errTest {
			t.Errorf("a later report differs: %+v", again)
		}
	})
}

// A peer that resets is an error, never an end.
func TestPeerReset(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	if _, err := r.Read(make([]byte, 1)); !IsReset(err) || errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := w.Write([]byte("x")); !IsReset(err) {
		t.Errorf("Write: %v", err)
	}
	if e := s.Resource().End(); e != lifetime.Failed {
		t.Errorf("the socket's end is %v", e)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// Abort is how a stream that is not whole ends.
func TestAbort(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	w.Write([]byte("half of it"))
	want(t, peer, "half of it")
	w.Abort()
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v, want a reset", err)
	}
}

// The policies that are not refcount act on the halves.
func TestPolicies(t *testing.T) {
	t.Run("trap", func(t *testing.T) {
		s, peer := connect(t, "127.0.0.1:0", lifetime.Trap)
		r, _ := halves(t, s)
		var trap *lifetime.TrapError
		if _, err := s.Drop(t.Context()); !errors.As(err, &trap) || len(trap.Holders) != 2 {
			t.Errorf("Drop: %v", err)
		}
		if _, err := r.Read(nil); !errors.Is(err, lifetime.ErrTrapped) {
			t.Errorf("Read: %v", err)
		}
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer saw %v, want a reset", err)
		}
	})
	t.Run("close-children", func(t *testing.T) {
		s, _ := connect(t, "127.0.0.1:0", lifetime.CloseChildren)
		r, _ := halves(t, s)
		drop(t, s.dropOnly)
		if _, err := r.Read(nil); !errors.Is(err, lifetime.ErrClosedByParent) {
			t.Errorf("Read: %v", err)
		}
	})
	t.Run("block", func(t *testing.T) {
		s, peer := connect(t, "127.0.0.1:0", lifetime.Block)
		r, w := halves(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if left, err := s.Drop(ctx); !errors.Is(err, lifetime.ErrHoldersAlive) || left.Children != 2 {
			t.Errorf("Drop: %+v, %v", left, err)
		}
		drop(t, r.Drop, w.Drop)
		peer.Close()
		drop(t, s.dropOnly)
	})
}

func TestCopy(t *testing.T) {
	const size = 1 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		var sent atomic.Bool
		go func() {
			peer.Write(data)
			peer.CloseWrite()
			sent.Store(true)
		}()
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(peer)
			got <- b
		}()
		var moved Moved
		if written, err := Copy(w, r, &moved); written || err != nil {
			t.Errorf("Copy: %v, %v", written, err)
		}
		drop(t, w.Drop, r.Drop, s.dropOnly)
		if b := <-got; !bytes.Equal(b, data) || moved.Out.Load() != size {
			t.Errorf("%d bytes came back, %d were counted, of %d", len(b), moved.Out.Load(), size)
		}
	})
}

// A connection that moves from one way of waiting to the other has its addresses all
// the while.
func TestAddressesOfOneThatMoves(t *testing.T) {
	s, _ := connect(t, "127.0.0.1:0", lifetime.Refcount)
	defer s.Shutdown(t.Context(), errTest)
	k := s.t.(*kernelTransport)
	local, remote := s.LocalAddr(), s.RemoteAddr()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- moveAgain(k, stop) }()
	for i := range 50_000 {
		if l, r := s.LocalAddr(), s.RemoteAddr(); l != local || r != remote {
			t.Errorf("look %d: from %q to %q, want %q and %q", i, l, r, local, remote)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// moveAgain parks and unparks t until it is stopped.
func moveAgain(t *kernelTransport, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := t.unpark(); err != nil {
			return err
		}
		if _, err := t.park(); err != nil {
			return err
		}
	}
}
