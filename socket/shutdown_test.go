package socket

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
)

// A shutdown's report is proof: the kernel showed the connection before, and
// has none after.
func TestShutdownProof(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		peer.Write([]byte("unread"))
		w.Write([]byte("sent"))
		for !r.Ready() {
		}
		report, err := s.Shutdown(t.Context(), errTest)
		if err != nil || report.Kernel != Gone || report.Unread != len("unread") {
			t.Errorf("%+v, %v", report, err)
		}
		again, err := s.Shutdown(t.Context(), nil)
		if err != nil || again.Kernel != Gone || again.Took != report.Took || again.Cause != errTest {
			t.Errorf("a second report differs: %+v, %v", again, err)
		}
	})
}

// Row 30: a forced close that races a graceful one, with jitter. Whoever wins,
// the kernel's connection is gone; the naive pair leaves some behind.
func TestShutdownRacesLastDrop(t *testing.T) {
	const rounds = 2000
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	left := 0
	for range rounds {
		peer, err := net.Dial("tcp", l.Addr().address())
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		r, w := halves(t, s)
		id := s.identify()
		if !id.found {
			t.Fatal(id.why)
		}
		var race sync.WaitGroup
		race.Go(func() {
			jitter()
			w.Drop(t.Context())
			r.Drop(t.Context())
			s.Drop(t.Context())
		})
		race.Go(func() {
			jitter()
			if _, err := s.Shutdown(t.Context(), errTest); err != nil {
				t.Error(err)
			}
		})
		race.Wait()
		if state, why := id.after(); state != Gone {
			left++
			t.Log(state, why)
		}
		peer.Close()
	}
	if left > 0 {
		t.Errorf("the kernel kept %d of %d connections", left, rounds)
	}
}

// jitter burns up to 100µs: a sleep would be longer.
func jitter() {
	for end := time.Now().Add(time.Duration(rand.IntN(100)) * time.Microsecond); time.Now().Before(end); {
	}
}

// Row 36: a copy of the descriptor in other hands is reached.
func TestShutdownReachesCopies(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		k := kernelOf(s.t)
		copied := -1
		k.control(func(fd int) { copied, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
		defer unix.Close(copied)
		report, err := s.Shutdown(t.Context(), errTest)
		wanted := Gone
		if !k.tcp {
			wanted = Shared // the copy keeps the kernel's socket, which is shut
		}
		if err != nil || report.Kernel != wanted {
			t.Errorf("%+v, %v; want %s", report, err, wanted)
		}
		_, err = peer.Read(make([]byte, 1))
		if k.tcp && !errors.Is(err, syscall.ECONNRESET) || !k.tcp && err != io.EOF {
			t.Errorf("the peer, past the copy, saw %v", err)
		}
	})
}

// Row 34, with a socket: a holder that sits inside an operation and does not
// leave keeps the descriptor, but not the connection.
func TestShutdownNamesWhoDoesNotLeave(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, _ := halves(t, s)
	if err := r.node.Enter(); err != nil {
		t.Fatal(err)
	}
	report, err := s.Shutdown(expired(t), errTest)
	if !errors.Is(err, lifetime.ErrHoldersAlive) || report.Kernel != Gone || report.State != lifetime.Closing {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v, want a reset", err)
	}
	r.node.Leave()
	if report, err := s.Shutdown(t.Context(), nil); err != nil || report.State != lifetime.Released {
		t.Errorf("%+v, %v", report, err)
	}
}

// Row 33: the socket is dropped, a half is forgotten somewhere, and whoever
// knows the id ends it all the same.
func TestShutdownByID(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		id := s.Resource().ID()
		drop(t, s.dropOnly, w.Drop)
		found, ok := Find(id)
		if !ok || found != s {
			t.Fatalf("Find: %v, %v", found, ok)
		}
		if _, ok := Find(r.Resource().ID()); ok {
			t.Error("Find took a half for a socket")
		}
		report, err := found.Shutdown(t.Context(), errTest)
		if err != nil || report.Kernel != Gone || len(report.Holders) != 1 || report.Holders[0].Name != r.Resource().Name() {
			t.Errorf("%+v, %v", report, err)
		}
		if _, ok := Find(id); ok {
			t.Error("a released socket is found")
		}
	})
}

// The drain holds the descriptor, so that a shutdown has something to act on.
func TestShutdownCutsDrain(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	drop(t, r.Drop, w.Drop, s.dropOnly)
	if state := s.node.State(); state != lifetime.Draining {
		t.Fatalf("%v after the last drop, and the peer has not finished", state)
	}
	if report, err := s.Shutdown(t.Context(), errTest); err != nil || report.Kernel != Gone || report.End != lifetime.ShutDown {
		t.Errorf("%+v, %v", report, err)
	}
	peer.Close()
}

// Under a storm of descriptors that are opened and closed, a shutdown never
// touches a stranger's.
func TestShutdownUnderReuse(t *testing.T) {
	stop := make(chan struct{})
	var storm sync.WaitGroup
	for range 2 {
		storm.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, err := os.Open(os.DevNull)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.Stat(); err != nil {
					t.Errorf("a stranger's descriptor: %v", err)
				}
				if err := f.Close(); err != nil {
					t.Errorf("a stranger's descriptor: %v", err)
				}
			}
		})
	}
	for range 200 {
		s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
		halves(t, s)
		if report, err := s.Shutdown(t.Context(), errTest); err != nil || report.Kernel != Gone {
			t.Errorf("%+v, %v", report, err)
		}
		peer.Close()
	}
	close(stop)
	storm.Wait()
}
