package socket

import (
	"io"
	"net"
	"testing"
	"time"

	"relayd/lifetime"
)

// acceptOne gives a test what a loop accepts.
type acceptOne struct {
	in    chan Incoming
	ended chan struct{}
}

func (a *acceptOne) Accepted(in Incoming)             { a.in <- in }
func (a *acceptOne) AcceptFailed(error) time.Duration { return time.Millisecond }
func (a *acceptOne) AcceptEnded()                     { close(a.ended) }

// connectOnLoop is connect with a socket that an event loop has accepted.
func connectOnLoop(t *testing.T) (*Socket, netConn) {
	t.Helper()
	loops, err := StartLoops(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &acceptOne{make(chan Incoming, 1), make(chan struct{})}
	if ok, err := l.AcceptOn(loops, a); !ok || err != nil {
		t.Fatalf("AcceptOn: %v, %v", ok, err)
	}
	peer, err := net.Dial("tcp", l.Addr().address())
	if err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(patience))
	s, err := (<-a.in).Open(At{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		peer.Close()
		<-s.node.Done()
		l.Drop(t.Context())
		<-a.ended
		loops.Stop()
		loops.Wait()
	})
	return s, peer.(netConn)
}

// The FIN is left to the close only if the close follows at once. With bytes under
// way it does not, and the FIN goes with them: the peer is not to wait for the
// drain's next look.
func TestFINIsNotHeldBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		full  bool
		state lifetime.State
	}{{"nothing under way", false, lifetime.Released}, {"bytes under way", true, lifetime.Draining}} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := connectOnLoop(t)
			r, w := halves(t, s)
			peer.CloseWrite()
			if n, err := r.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("%d, %v", n, err)
			}
			wrote := 0
			if c.full {
				wrote = fill(t, s.t)
			}
			drop(t, s.dropOnly, r.Drop, w.Drop)
			if s.node.State() != c.state {
				t.Errorf("%v after the last drop", s.node.State())
			}
			for c.full { // the drain is another goroutine's
				if info, ok := s.TCPInfo(); !ok {
					t.Fatal("the drain has ended, and no FIN has followed the bytes")
				} else if info.State == "LAST-ACK" {
					break
				}
			}
			if got, err := readAll(peer); got != wrote || err != nil {
				t.Errorf("the peer got %d of %d bytes, %v", got, wrote, err)
			}
		})
	}
}
