package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform/pcapng/pcapngtest"
)

// Stages that watch, in front of real sockets.

// startWatched starts a relay with the same stages in both directions.
func startWatched(t *testing.T, f family, chain string, to socket.Address) *relayd {
	t.Helper()
	return startRelay(t, relay.Config{
		Listen: []socket.Address{f.any(t)}, To: to,
		Up: stages(t, chain), Down: stages(t, chain),
	})
}

// upper is a handler that reads to the end and says it again, in capitals.
func upper(c conn) {
	b, err := io.ReadAll(c)
	if err != nil {
		return
	}
	io.WriteString(c, strings.ToUpper(string(b)))
	c.CloseWrite()
}

// text is n bytes of conn i.
func text(i, n int) string {
	return strings.Repeat(fmt.Sprintf("conn %d says this. ", i), n/18+1)[:n]
}

// Many conns at once share a capture: each is a stream with its own bytes, in
// both directions, between the addresses that it had.
func TestCapture(t *testing.T) {
	const conns = 12
	for _, f := range families(t) {
		t.Run(f.name, func(t *testing.T) {
			leak.Check(t)
			file := filepath.Join(t.TempDir(), "a.pcapng")
			to := serve(t, f.any(t), upper)
			r := startWatched(t, f, "pcapng:"+file, to)
			clients := make(map[string]string) // their addresses, by what they said
			var wg sync.WaitGroup
			for i := range conns {
				c, said := dial(t, r.addr()), text(i, 1+i*20_000)
				clients[said] = c.LocalAddr().String()
				wg.Go(func() {
					io.WriteString(c, said)
					c.CloseWrite()
					got, err := io.ReadAll(c)
					if err != nil || string(got) != strings.ToUpper(said) {
						t.Errorf("conn %d: got %d bytes back, %v", i, len(got), err)
					}
				})
			}
			wg.Wait()
			r.log.ends(t, conns)
			checkCapture(t, f, file, clients, to)
		})
	}
}

// checkCapture wants a stream for each conn.
func checkCapture(t *testing.T, f family, file string, clients map[string]string, to socket.Address) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	streams, err := pcapngtest.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != len(clients) {
		t.Errorf("%d streams of %d conns", len(streams), len(clients))
	}
	for _, s := range streams {
		said := string(s.Client.Bytes)
		client, ok := clients[said]
		if !ok || string(s.Upstream.Bytes) != strings.ToUpper(said) {
			t.Errorf("a stream has %d bytes up and %d down, which nobody said", len(said), len(s.Upstream.Bytes))
			continue
		}
		delete(clients, said)
		if s.Reset || !s.Client.Finished || !s.Upstream.Finished {
			t.Error("a stream does not end as its conn has")
		}
		if f.name == unix.name {
			client = s.Client.Addr.String()
			if want := netip.MustParseAddr("192.0.2.1"); s.Client.Addr.Addr() != want || !strings.HasSuffix(s.Comment, "upstream "+to.Path) {
				t.Errorf("the client is %v, the comment %q", s.Client.Addr, s.Comment)
			}
		} else if _, addr := network(to); s.Upstream.Addr.String() != addr {
			t.Errorf("the upstream is %v, want %s", s.Upstream.Addr, addr)
		}
		if s.Client.Addr.String() != client {
			t.Errorf("the client is %v, want %s", s.Client.Addr, client)
		}
	}
}

// A collector is a server that keeps what each connection sends.
type collector struct {
	addr socket.Address
	got  chan string
}

func collect(t *testing.T, f family) collector {
	c := collector{got: make(chan string, 100)}
	c.addr = serve(t, f.any(t), func(in conn) {
		go io.Copy(in, bytesOf(9, 10<<20)) // a receiver may talk, and nobody listens
		b, err := io.ReadAll(plain{in})
		if err != nil {
			b = fmt.Appendf(b, "%v", err)
		}
		c.got <- string(b)
	})
	return c
}

// The copies of both directions arrive at an address, whole.
func TestTee(t *testing.T) {
	for _, f := range families(t) {
		for _, lossy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lossy=%t", f.name, lossy), func(t *testing.T) {
				leak.Check(t)
				c := collect(t, f)
				said := text(7, 200_000)
				r := startWatched(t, f, fmt.Sprintf("tee:%v,lossy=%t", c.addr, lossy), serve(t, f.any(t), upper))
				client := dial(t, r.addr())
				if _, err := io.WriteString(client, said); err != nil {
					t.Fatal(err)
				}
				finish(t, client, strings.ToUpper(said))
				for range 2 {
					if got := <-c.got; got != said && got != strings.ToUpper(said) {
						t.Errorf("a copy has %d bytes", len(got))
					}
				}
				if ends := r.log.ends(t, 1); ends["eof client"] != 1 {
					t.Errorf("ends: %v", ends)
				}
				if lost, _ := r.log.find("copy is not whole"); len(lost) > 0 {
					t.Errorf("lost: %v", lost)
				}
			})
		}
	}
}

// stuckReceiver accepts, and reads nothing.
func stuckReceiver(t *testing.T) socket.Address {
	stuck := make(chan struct{})
	a := serve(t, address(t, "127.0.0.1:0"), func(conn) { <-stuck })
	t.Cleanup(func() { close(stuck) })
	return a
}

// A receiver that takes nothing costs a lossy copy's stream nothing, and its
// conn ends.
func TestLossyTeeToStuckReceiver(t *testing.T) {
	leak.Check(t)
	const n = 64 << 20
	r := startRelay(t, relay.Config{
		To: serve(t, address(t, "127.0.0.1:0"), answerAfterEOF(n)),
		Up: stages(t, fmt.Sprintf("tee:%v,lossy=true", stuckReceiver(t))),
	})
	checkAnswer(t, nc, r.addr(), n)
	if ends := r.log.ends(t, 1); ends["eof client"] != 1 {
		t.Errorf("ends: %v", ends)
	}
	lost := r.log.wait(t, "copy is not whole", 1)[0].attrs
	if copied, left := lost["copied"].Int64(), lost["left_out"].Int64(); copied+left != n || left == 0 {
		t.Errorf("%d bytes copied and %d left out of %d", copied, left, n)
	}
}

// stuckPipe is a FIFO with a reader that reads nothing.
func stuckPipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return name
}

// stall relays into a copy that is in step with the stream, until the copy's
// receiver takes nothing more.
func stall(t *testing.T, r *relayd) (client conn, stalled func()) {
	t.Helper()
	client = dial(t, r.addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(client, bytesOf(1, 1<<30))
	}()
	var moved relay.Traffic
	since := time.Now()
	until(t, "the stream stands still", func() bool {
		now := r.Stats().Moved
		if now != moved {
			moved, since = now, time.Now()
		}
		return moved.UpIn > 0 && time.Since(since) > 300*time.Millisecond
	})
	return client, func() { <-done }
}

// A stream that waits for its copy can be ended all the same: by its server's
// drain, and by the other direction.
func TestPacedTeeToStuckReceiver(t *testing.T) {
	start := func(t *testing.T, receiver string, handle func(conn)) *relayd {
		return startRelay(t, relay.Config{
			To: serve(t, address(t, "127.0.0.1:0"), handle),
			Up: stages(t, "tee:"+receiver), Down: stages(t, "tee:"+receiver),
		})
	}
	for name, receiver := range map[string]func(*testing.T) string{
		"drain":      func(t *testing.T) string { return stuckReceiver(t).String() },
		"drain/pipe": stuckPipe,
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			r := start(t, receiver(t), func(c conn) {
				io.Copy(c, bytesOf(2, 1<<30))
			})
			client, stalled := stall(t, r)
			now, stop := context.WithCancel(context.Background())
			stop()
			began := time.Now()
			if _, err := r.Drain(now); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			client.Close()
			stalled()
			if ends := r.log.ends(t, 1); ends["drained us"] != 1 {
				t.Errorf("ends: %v", ends)
			}
		})
	}
	t.Run("reset", func(t *testing.T) {
		leak.Check(t)
		hit := make(chan struct{})
		r := start(t, stuckReceiver(t).String(), func(c conn) {
			<-hit
			c.(*net.TCPConn).SetLinger(0)
		})
		client, stalled := stall(t, r)
		close(hit)
		if ends := r.log.ends(t, 1); ends["reset-upstream upstream"] != 1 {
			t.Errorf("ends: %v", ends)
		}
		client.Close()
		stalled()
	})
}

// Where nobody listens, a copy in step with the stream fails it, and a lossy one
// is left out.
func TestTeeToNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	to := serve(t, address(t, "127.0.0.1:0"), upper)

	r := startRelay(t, relay.Config{To: to, Up: stages(t, "tee:tcp://"+nobody)})
	// The reset may be there before the client knows that it is connected.
	c, err := net.DialTimeout("tcp", r.addr().String()[len("tcp://"):], patience)
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "hello")
		_, err = io.ReadAll(c)
		c.Close()
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client is told %v", err)
	}
	end := r.log.wait(t, "conn ended", 1)[0]
	if end.text("reason") != "stage-failed" || !strings.Contains(end.text("err"), nobody) {
		t.Errorf("the end is %v", end.attrs)
	}

	r = startRelay(t, relay.Config{To: to, Up: stages(t, "tee:tcp://"+nobody+",lossy=true")})
	lossy := dial(t, r.addr())
	io.WriteString(lossy, "hello")
	finish(t, lossy, "HELLO")
	lost := r.log.wait(t, "copy is not whole", 1)[0]
	if lost.text("left_out") != "5" || lost.text("id") == "" || lost.text("direction") != "up" {
		t.Errorf("logged %v", lost.attrs)
	}
}

// What count and hash say at the end is right, and is said once per direction.
func TestSums(t *testing.T) {
	r := startWatched(t, tcp4, "count,hash", serve(t, address(t, "127.0.0.1:0"), upper))
	c := dial(t, r.addr())
	io.WriteString(c, "hello")
	finish(t, c, "HELLO")
	r.log.ends(t, 1)
	sums := map[string]string{
		"up":   "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		"down": "3733cd977ff8eb18b987357e22ced99f46097f31ecb239e878ae63760e83e4d5",
	}
	hashed, _ := r.log.find("hashed")
	counted, _ := r.log.find("counted")
	if len(hashed) != 2 || len(counted) != 2 {
		t.Fatalf("%d and %d lines, want 2 and 2", len(hashed), len(counted))
	}
	for i := range 2 {
		if got := hashed[i].text("sum"); got != sums[hashed[i].text("direction")] {
			t.Errorf("the sum %s is %s", hashed[i].text("direction"), got)
		}
		if counted[i].text("bytes") != "5" || counted[i].text("end") != "eof" {
			t.Errorf("counted %v", counted[i].attrs)
		}
	}
}
