package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"relayd/lifetime"
)

// While the write half lives, what the peer sends to a read half that was
// dropped is thrown away: the peer is not stalled.
func TestDropDiscards(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		r, w := halves(t, s)
		drop(t, r.Drop)
		if n, err := peer.Write(make([]byte, 16<<20)); err != nil {
			t.Errorf("the peer was stalled after %d bytes: %v", n, err)
		}
		w.Write([]byte("on"))
		want(t, peer, "on")
		peer.Close()
		drop(t, w.Drop, s.dropOnly)
	})
}

// But not without a bound.
func TestDiscardLimit(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	drop(t, r.Drop)
	chunk := make([]byte, 1<<20)
	sent := 0
	for {
		n, err := peer.Write(chunk)
		sent += n
		if err != nil {
			if !IsReset(err) {
				t.Errorf("the peer's write: %v", err)
			}
			break
		}
	}
	if sent < discardLive || sent > discardLive+16<<20 {
		t.Errorf("the peer was reset after %d bytes", sent)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, errDiscardLimit) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	drop(t, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// DropStop stalls the peer, and still loses nothing at the end.
func TestDropStops(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	r.SetDropMode(DropStop)
	drop(t, r.Drop)
	peer.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := peer.Write(make([]byte, tooMuch))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the peer wrote %d and was not stalled: %v", n, err)
	}
	w.Write([]byte("answer"))
	drop(t, w.Drop, s.dropOnly)
	if b, err := io.ReadAll(peer); string(b) != "answer" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	peer.Close()
	within(t, s.node.Done(), "the release")
}

func TestDropResets(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	r.SetDropMode(DropReset)
	drop(t, r.Drop)
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, errReadReset) {
		t.Errorf("Write: %v", err)
	}
	drop(t, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// A peer that has everything and does not finish is waited for until linger is
// over, and no longer.
func TestLingerEnds(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	w.Write([]byte("all"))
	began := time.Now()
	drop(t, r.Drop, w.Drop, s.dropOnly)
	want(t, peer, "all")
	within(t, s.node.Done(), "the release")
	if d := time.Since(began); d < defaultLinger {
		t.Errorf("released after %v", d)
	}
	if e := s.node.End(); e != lifetime.Dropped {
		t.Errorf("the end is %v, %v", e, s.node.Err())
	}
}

// A peer that does not take its bytes loses them, and the socket says so.
func TestTruncated(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	wrote := fill(t, s.t)
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	var cut *TruncatedError
	if err := s.node.Err(); !errors.As(err, &cut) || cut.Unsent == 0 || cut.Unsent > wrote {
		t.Errorf("the end is %v, %v", s.node.End(), err)
	}
	if _, err := io.Copy(io.Discard, peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v", err)
	}
}

func TestTCPInfo(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	peer.Write([]byte("12345"))
	want(t, r, "12345")
	info, ok := s.TCPInfo()
	if !ok || info.State != "ESTAB" || info.Received != 5 || info.MSS == 0 {
		t.Errorf("%+v, %v", info, ok)
	}
	peer.Close()
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if _, ok := s.TCPInfo(); ok {
		t.Error("a connection that is closed has a TCP_INFO")
	}
}

// A peer that has finished, and then leaves without what we still owe it, resets.
// Nobody reads then, who would hear of it; the drain is over all the same, and
// says what was lost.
func TestResetAfterTheEnd(t *testing.T) {
	for name, text := range kinds(t) {
		if name == "unix" {
			continue // its queue goes with the peer
		}
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, text, lifetime.Refcount)
			s.unusual().linger = &lingering{time.Hour, time.Hour}
			r, w := halves(t, s)
			peer.CloseWrite()
			if n, err := r.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("%d, %v; want the end", n, err)
			}
			wrote := fill(t, s.t)
			drop(t, r.Drop, w.Drop, s.dropOnly)
			if s.node.State() != lifetime.Draining {
				t.Errorf("%v after the last drop", s.node.State())
			}
			peer.Close()
			within(t, s.node.Done(), "the release")
			var cut *TruncatedError
			switch err := s.node.Err(); {
			case name == "tls" && errors.Is(err, syscall.EPIPE): // a record was still to be sent
			case !errors.As(err, &cut) || cut.Unsent == 0 || name != "tls" && cut.Unsent > wrote:
				t.Errorf("the end is %v, %v", s.node.End(), err)
			}
		})
	}
}
