package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"relayd/lifetime"
)

// Row 9, and beside it what everybody else does. One unread byte turns a plain
// close into a reset, which destroys what the peer has not read yet; a socket
// drains, and the peer gets all of it.
func TestNothingIsLostAtADrop(t *testing.T) {
	for name, text := range kinds(t) {
		s, peer := connect(t, text, lifetime.Refcount)
		r, w := halves(t, s)
		peer.Write([]byte("x"))
		for !r.Ready() {
		}
		wrote := fill(t, s.t)
		drop(t, r.Drop, w.Drop, s.dropOnly)
		got, err := readAll(peer)
		if got != wrote || err != nil {
			t.Errorf("%s: the peer got %d of %d bytes: %v", name, got, wrote, err)
		}
		peer.Close()
		within(t, s.node.Done(), "the release")
		t.Logf("%s: a drop: the peer got %d of %d bytes", name, got, wrote)
	}

	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	naive := s.t.(*kernelTransport).parked.Load().netConn
	peer.Write([]byte("x"))
	for !s.t.ready() {
	}
	wrote := fill(t, naive)
	naive.CloseWrite()
	naive.Close()
	got, err := readAll(peer)
	t.Logf("a plain close: the peer got %d of %d bytes, %.1f %%, and %v", got, wrote, 100*float64(got)/float64(wrote), err)
	if got == wrote || !IsReset(err) {
		t.Error("the plain close lost nothing: this test shows no difference")
	}
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// fill writes what the system takes while the peer reads nothing: some 4 MB.
func fill(t *testing.T, c interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}) int {
	t.Helper()
	// It is full when a while passes in which nothing more goes in.
	total := 0
	for end := time.Now().Add(patience); ; {
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Write(make([]byte, tooMuch))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			t.Fatalf("filling the buffers: %d, %v", total+n, err)
		}
		if n == 0 && total > 0 {
			return total
		}
		total += n
	}
}

// readAll returns how much comes before the end, and the end if it is not EOF.
func readAll(c net.Conn) (int, error) {
	c.SetDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, struct{ io.Reader }{c})
	return int(n), err
}

// Row 46, and beside it a naive reader. The kernel reports a reset once for each
// socket. When the write half meets it first, a read returns 0: to the naive
// reader that is a clean end of a stream that was cut.
func TestNoResetIsTakenForAnEnd(t *testing.T) {
	const rounds = 2000
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	fooled, ours := 0, 0
	for round := range rounds {
		s, peer := accepted(t, l)
		r, w := halves(t, s)
		reset(peer)
		written := make(chan error, 1)
		if round%2 == 0 { // the write half is first for certain
			written <- writeUntilError(w)
		} else {
			go func() { written <- writeUntilError(w) }()
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err == nil {
			ours++
		} else if !IsReset(err) || errors.Is(err, net.ErrClosed) {
			t.Fatalf("Read: %v", err)
		}
		if err := <-written; !IsReset(err) {
			t.Fatalf("Write: %v", err)
		}
		drop(t, r.Drop, w.Drop, s.dropOnly)

		s, peer = accepted(t, l)
		naive := s.t.(*kernelTransport).parked.Load().netConn
		reset(peer)
		writeUntilError(naive)
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{naive}); err == nil {
			fooled++
		}
		drop(t, s.dropOnly)
	}
	t.Logf("of %d resets the naive reader took %d for an end, we %d", rounds, fooled, ours)
	if ours > 0 {
		t.Errorf("%d of %d resets were taken for an end", ours, rounds)
	}
	if fooled < rounds/2 {
		t.Errorf("the naive reader was fooled %d times of %d: this test shows no difference", fooled, rounds)
	}
}

// With TLS the only end is a close_notify, whoever meets the reset first.
func TestNoResetIsTakenForAnEndOfTLS(t *testing.T) {
	const rounds = 200
	l, err := Listen(t.Context(), address(t, tlsKind(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	for round := range rounds {
		s, c := accepted(t, l)
		peer := shaken(t, s, newTLSPeer(c, nil))
		r, w := halves(t, s)
		if round%4 == 3 {
			peer.TCPConn.Close() // FIN, and a reset for what comes then
		} else {
			reset(peer.TCPConn)
		}
		written := make(chan error, 1)
		if round%2 == 0 {
			written <- writeUntilError(w)
		} else {
			go func() { written <- writeUntilError(w) }()
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err == nil || !IsReset(err) {
			t.Fatalf("round %d: Read: %v", round, err)
		}
		if err := <-written; !IsReset(err) {
			t.Fatalf("round %d: Write: %v", round, err)
		}
		drop(t, r.Drop, w.Drop, s.dropOnly)
		within(t, s.node.Done(), "the release")
	}
}

func accepted(t *testing.T, l *Listener) (*Socket, net.Conn) {
	t.Helper()
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
	return s, peer
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func writeUntilError(w io.Writer) error {
	for {
		if _, err := w.Write([]byte("x")); err != nil {
			return err
		}
	}
}
