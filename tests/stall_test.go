package tests

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
)

// A client that does not read stalls its own conn, and nothing else: others go
// on, and the drain's deadline ends it.
func TestStall(t *testing.T) {
	for _, tunnel := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "tunnel"}[tunnel], func(t *testing.T) {
			leak.Check(t)
			var sent atomic.Int64
			to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
				first := make([]byte, 1)
				if io.ReadFull(c, first); first[0] != '!' {
					c.Write(first)
					echo(c)
					return
				}
				io.Copy(c, &counting{bytesOf(1, 1<<40), &sent})
			})
			near, far := relays(t, tcp4, to, tunnel)
			other := dial(t, near.addr())
			exchange(t, other, "before")

			stalled := dial(t, near.addr())
			if _, err := io.WriteString(stalled, "!"); err != nil {
				t.Fatal(err)
			}
			untilStill(t, &sent)
			exchange(t, other, "while the other stalls")
			c := dial(t, near.addr())
			exchange(t, c, "a new one")
			finish(t, c, "")
			finish(t, other, "")
			near.log.wait(t, "conn ended", 2)

			ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer stop()
			wantDrained(t, beginDrain(ctx, near), 1)
			if got := near.log.ends(t, 3); got["eof client"] != 2 || got["drained us"] != 1 {
				t.Errorf("ends: %v", got)
			}
			// The far relay is told, although its client had stopped reading.
			if got := far.log.ends(t, 3); got["eof client"] != 2 || got["reset-client client"] != 1 {
				t.Errorf("ends at the far relay: %v", got)
			}
		})
	}
}

// A counting reader counts what is read from it.
type counting struct {
	r io.Reader
	n *atomic.Int64
}

// Read reads and counts.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// untilStill waits until a count has stopped to grow: all buffers on the way
// are full.
func untilStill(t *testing.T, n *atomic.Int64) {
	t.Helper()
	last, since := int64(0), time.Now()
	until(t, "the sender stalls", func() bool {
		if now := n.Load(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 200*time.Millisecond
	})
}

// An upstream is gone, and the client that should get its last bytes does not
// read. What has arrived stays readable, but nobody waits longer than linger.
func TestStalledClientOfAResetUpstream(t *testing.T) {
	leak.Check(t)
	var sent atomic.Int64
	stalled := make(chan bool)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		go io.Copy(c, &counting{bytesOf(1, 1<<40), &sent})
		<-stalled
		c.(*net.TCPConn).SetLinger(0)
		c.Close() // the copy ends with it
	})
	r := startRelay(t, relay.Config{To: to})
	c := dial(t, r.addr())
	untilStill(t, &sent)
	stalled <- true
	// The relay, stuck on its way to the client, meets the reset when it has
	// something for the upstream.
	until(t, "the conn ends", func() bool {
		io.WriteString(c, "anybody there?")
		ends, _ := r.log.find("conn ended")
		return len(ends) > 0
	})
	if got := r.log.ends(t, 1); got["reset-upstream upstream"] != 1 {
		t.Errorf("ends: %v", got)
	}
	got := r.log.wait(t, "conn ended", 1)[0].attrs["duration"].Duration()
	if got < 2*time.Second || got > patience/2 {
		t.Errorf("the conn ended after %v, want linger and some more", got)
	}
}
