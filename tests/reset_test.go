package tests

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"relayd/relay"
	"relayd/tests/leak"
)

// A reset goes through as a reset, and leaves nothing behind.

// Of 200 connections a quarter is reset while it is quiet, a quarter with bytes
// under way in both directions, and half ends as it should.
func TestResetsLeaveNothing(t *testing.T) {
	const n = 200
	leak.Check(t)
	r := startRelay(t, relay.Config{To: serve(t, address(t, "127.0.0.1:0"), echo)})
	goroutines, fds := leak.Count()

	conns := make([]conn, n)
	for i := range conns {
		conns[i] = dial(t, r.addr())
		exchange(t, conns[i], "hello")
	}
	for i, c := range conns {
		switch i % 4 {
		case 0:
			reset(t, c)
		case 1:
			// More than is read back: some of it is somewhere on the way.
			if _, err := io.Copy(c, bytesOf(1, 256<<10)); err != nil {
				t.Fatal(err)
			}
			reset(t, c)
		default:
			exchange(t, c, "still there")
			finish(t, c, "")
		}
	}

	got := r.log.ends(t, n)
	if len(got) != 2 || got["eof client"] != n/2 || got["reset-client client"] != n/2 {
		t.Errorf("ends: %v; want half eof, half reset-client, all by the client", got)
	}
	var g, f int
	until(t, "no more goroutines and descriptors than before", func() bool {
		g, f = leak.Count()
		return g <= goroutines && f <= fds
	})
}

// What the upstream sent before its reset arrives, and only then the reset.
func TestUpstreamResetInTheMiddle(t *testing.T) {
	const n = 192 << 10 // the relay holds some of it while the client does not read
	leak.Check(t)
	sent := make(chan error, 1)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		io.ReadFull(c, make([]byte, 5))
		io.Copy(c, bytesOf(1, n))
		err := acknowledged(c)
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		sent <- err
	})
	for _, tunnel := range []bool{false, true} {
		near, far := relays(t, tcp4, to, tunnel)
		c := dial(t, near.addr())
		io.WriteString(c, "hello")
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		got := newSummer()
		_, err := io.Copy(got, c)
		if want := sumOf(t, bytesOf(1, n)); got.String() != want || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("tunnel=%v: got %v, %v; want %v and a reset", tunnel, got, err, want)
		}
		for _, r := range []*relayd{near, far} {
			if got := r.log.ends(t, 1); got["reset-upstream upstream"] != 1 {
				t.Errorf("tunnel=%v: ends: %v", tunnel, got)
			}
		}
	}
}

// The same from the other side: the upstream gets all and then a reset.
func TestClientResetInTheMiddle(t *testing.T) {
	const n = 192 << 10
	leak.Check(t)
	reading := make(chan bool)
	received := make(chan *summer, 1)
	ended := make(chan error, 1)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		<-reading
		got := newSummer()
		_, err := io.Copy(got, c)
		received <- got
		ended <- err
	})
	for _, tunnel := range []bool{false, true} {
		near, far := relays(t, tcp4, to, tunnel)
		c := dial(t, near.addr())
		if _, err := io.Copy(c, bytesOf(1, n)); err != nil {
			t.Fatal(err)
		}
		if err := acknowledged(c); err != nil {
			t.Fatal(err)
		}
		reset(t, c)
		reading <- true
		got, err := <-received, <-ended
		if want := sumOf(t, bytesOf(1, n)); got.String() != want || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("tunnel=%v: the upstream got %v, %v; want %v and a reset", tunnel, got, err, want)
		}
		for _, r := range []*relayd{near, far} {
			if got := r.log.ends(t, 1); got["reset-client client"] != 1 {
				t.Errorf("tunnel=%v: ends: %v", tunnel, got)
			}
		}
	}
}

// After one side's clean end, the other's reset is what the conn ends with, and
// the first closer is still the one that finished first.
func TestResetAfterHalfClose(t *testing.T) {
	leak.Check(t)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		io.Copy(io.Discard, c)
		c.(*net.TCPConn).SetLinger(0)
	})
	r := startRelay(t, relay.Config{To: to})
	c := dial(t, r.addr())
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantReset(t, c, 0)
	if got := r.log.ends(t, 1); got["reset-upstream client"] != 1 {
		t.Errorf("ends: %v", got)
	}
}

// A client whose write meets the upstream's reset: the client is reset too, and
// soon, although it never stops to send.
func TestUpstreamResetsASender(t *testing.T) {
	leak.Check(t)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		io.ReadFull(c, make([]byte, 1<<20))
		c.(*net.TCPConn).SetLinger(0)
	})
	r := startRelay(t, relay.Config{To: to})
	c := dial(t, r.addr())
	if _, err := io.Copy(c, bytesOf(1, 1<<40)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("sending ended with %v, want a reset", err)
	}
	if got := r.log.ends(t, 1); got["reset-upstream upstream"] != 1 {
		t.Errorf("ends: %v", got)
	}
}
