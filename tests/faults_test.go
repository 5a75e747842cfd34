package tests

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
)

// The stages that harm a stream, between real sockets.

// A heard is what a server has got from its client, and how that ended.
type heard struct {
	sum string
	n   int64
	err error
}

// listener is a handler that tells what it hears.
func listener(to chan<- heard) func(conn) {
	return func(c conn) {
		sum := newSummer()
		n, err := io.Copy(sum, c)
		to <- heard{sum.String(), n, err}
	}
}

// A reset resets both sides, and what came before it has arrived: up, where the
// server is slow to read, and down.
func TestResetStage(t *testing.T) {
	const n = 300_000
	leak.Check(t)
	t.Run("up", func(t *testing.T) {
		got, begin := make(chan heard, 1), make(chan struct{})
		r := startRelay(t, relay.Config{
			To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
				<-begin
				listener(got)(c)
			}),
			Up: stages(t, "reset:300000"),
		})
		c := dial(t, r.addr())
		if _, err := io.Copy(c, bytesOf(1, n)); err != nil {
			t.Fatal(err)
		}
		wantReset(t, c, 0)
		close(begin)
		h := <-got
		if want := sumOf(t, bytesOf(1, n)); h.n != n || h.sum != want || !errors.Is(h.err, syscall.ECONNRESET) {
			t.Errorf("the server got %d bytes, %v; want all %d, and a reset", h.n, h.err, n)
		}
		wantResetLine(t, r)
	})
	t.Run("down", func(t *testing.T) {
		got := make(chan heard, 1)
		r := startRelay(t, relay.Config{
			To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
				io.Copy(c, bytesOf(1, n+1)) // and what is behind the place is lost
				listener(got)(c)
			}),
			Down: stages(t, "reset:300000"),
		})
		c := dial(t, r.addr())
		sum := newSummer()
		k, err := io.Copy(sum, c)
		if want := sumOf(t, bytesOf(1, n)); k != n || sum.String() != want || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %d bytes, %v; want all %d, and a reset", k, err, n)
		}
		if h := <-got; h.n != 0 || !errors.Is(h.err, syscall.ECONNRESET) {
			t.Errorf("the server got %d bytes, %v; want a reset", h.n, h.err)
		}
		wantResetLine(t, r)
	})
}

func wantResetLine(t *testing.T, r *relayd) {
	t.Helper()
	line := r.log.wait(t, "conn ended", 1)[0]
	if line.text("reason") != "stage-failed" || line.text("first_closer") != "us" || line.text("err") != "reset: reset after 300000 bytes, as asked" {
		t.Errorf("reason %s, first_closer %s, err %s", line.text("reason"), line.text("first_closer"), line.text("err"))
	}
}

// A cut is a clean end of its direction, and the other one goes on.
func TestCutStage(t *testing.T) {
	const n = 300_000
	for name, more := range map[string]int64{"in the middle": 5 << 20, "at the end": 0} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			got := make(chan heard, 1)
			r := startRelay(t, relay.Config{
				To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
					listener(got)(c)
					io.Copy(c, bytesOf(2, n))
				}),
				Up: stages(t, "cut:300000"),
			})
			c := dial(t, r.addr())
			if _, err := io.Copy(c, bytesOf(1, n+more)); err != nil {
				t.Fatal(err)
			}
			if h := <-got; h.n != n || h.err != nil {
				t.Errorf("the server got %d bytes, %v; want %d and a clean end", h.n, h.err, n)
			}
			if got, want := sumOf(t, c), sumOf(t, bytesOf(2, n)); got != want {
				t.Errorf("the answer is %s, want %s", got, want)
			}
			c.Close()
			if ends := r.log.ends(t, 1); ends["eof client"]+ends["eof us"]+ends["eof upstream"] != 1 {
				t.Errorf("ends: %v", ends)
			}
		})
	}
}

// What waits is no reason for its conn to stay: a kill and a drain end it at once.
func TestPausesEndAtOnce(t *testing.T) {
	for _, chain := range []string{
		"stall", "stall:3,time=1h", "limit:1/s", "limit:1/s,scope=source", "limit:1/s,scope=route", "slice:1,delay=1h", "delay:1h",
		"delay:1h,queue=1", "gzip,stall:5,gunzip", "zstd,limit:1/s,slice:1,delay=1h,unzstd",
	} {
		for _, how := range []string{"killed", "drained"} {
			t.Run(how+" "+chain, func(t *testing.T) {
				leak.Check(t)
				r := startRelay(t, relay.Config{
					To: serve(t, address(t, "127.0.0.1:0"), echo),
					Up: stages(t, chain),
				})
				c := dial(t, r.addr())
				if _, err := io.WriteString(c, "hello, world"); err != nil {
					t.Fatal(err)
				}
				until(t, "the stage has something", func() bool {
					list := r.Conns()
					return len(list) == 1 && list[0].State == relay.Open && (chain == "stall" || list[0].Up.In > 0)
				})
				began := time.Now()
				if how == "killed" {
					if _, err := r.Kill(t.Context(), r.Conns()[0].ID); err != nil {
						t.Error(err)
					}
				} else {
					now, stop := context.WithCancel(t.Context())
					stop()
					wantDrained(t, beginDrain(now, r), 1)
				}
				if ends := r.log.ends(t, 1); ends[how+" us"] != 1 {
					t.Errorf("ends: %v", ends)
				}
				if took := time.Since(began); took > patience/2 {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}

// A limit by source is that of all conns from one address, and of no other.
func TestLimitBySource(t *testing.T) {
	leak.Check(t)
	r := startRelay(t, relay.Config{
		To: serve(t, address(t, "127.0.0.1:0"), echo),
		Up: stages(t, "limit:1/s,burst=1000,scope=source"),
	})
	all := strings.Repeat("x", 1000)
	one := dialFrom(t, "127.0.0.1", r)
	exchange(t, one, all) // and the bucket is empty
	same := dialFrom(t, "127.0.0.1", r)
	if _, err := io.WriteString(same, all); err != nil {
		t.Fatal(err)
	}
	exchange(t, dialFrom(t, "127.0.0.2", r), all)
	until(t, "the second conn's bytes are seen", func() bool { return r.Conns()[1].Up.In > 0 })
	if n := r.Conns()[1].Up.Out; n > 100 {
		t.Errorf("%d bytes of a source with an empty bucket have passed", n)
	}
}

// dialFrom connects from an address of the loopback.
func dialFrom(t *testing.T, from string, r *relayd) conn {
	t.Helper()
	_, addr := network(r.addr())
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(conn)
}
