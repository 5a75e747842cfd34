package tests

import (
	"io"
	"net"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
)

// eachChain runs a test through a plain relay, and through one with stages.
func eachChain(t *testing.T, f func(t *testing.T, c relay.Config)) {
	for name, c := range map[string]relay.Config{
		"plain":  {},
		"staged": {Up: stages(t, "gzip,gunzip"), Down: stages(t, "gzip,gunzip")},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			f(t, c)
		})
	}
}

// A conn in which nothing moves is reset, both ways.
func TestIdleConn(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) {
			echoSome(up, 5)
			wantReset(t, up, 0)
		})
		c.Timeouts.Idle = 100 * time.Millisecond
		r := startRelay(t, c)
		client := dial(t, r.addr())
		exchange(t, client, "hello")
		wantReset(t, client, 0)
		if got := r.log.ends(t, 1); got["idle us"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}

// echoSome sends the first n bytes back, and leaves no pipe in package net's pool,
// which empties it when the collector has run.
func echoSome(c conn, n int64) { io.CopyN(c, plain{c}, n) }

// A half-closed pair that is quiet is reaped, and its first closer stays who it
// was.
func TestHalfClosedIsReaped(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		reaped := make(chan struct{})
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) {
			io.Copy(io.Discard, up) // and says nothing after the FIN
			<-reaped
		})
		c.Timeouts.HalfClosed = 100 * time.Millisecond
		r := startRelay(t, c)
		client := dial(t, r.addr())
		client.CloseWrite()
		wantReset(t, client, 0)
		close(reaped)
		if got := r.log.ends(t, 1); got["half-closed client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}

// A half-closed pair that moves a byte now and then lives, for many times the
// bound.
func TestHalfClosedThatMovesLives(t *testing.T) {
	const bytes = 15
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) {
			io.Copy(io.Discard, up)
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for range bytes {
				<-tick.C
				up.Write([]byte("."))
			}
		})
		c.Timeouts.HalfClosed = 500 * time.Millisecond
		r := startRelay(t, c)
		client := dial(t, r.addr())
		client.CloseWrite()
		if n, err := io.Copy(io.Discard, client); n != bytes || err != nil {
			t.Errorf("got %d bytes, %v; want %d and an end", n, err, bytes)
		}
		client.Close()
		if got := r.log.ends(t, 1); got["eof client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}

// A reader with a closed window ends as write-stall, and what it did not get is
// counted.
func TestWriteStall(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) { io.Copy(up, bytesOf(1, 1<<40)) })
		c.Timeouts.WriteStall = 200 * time.Millisecond
		r := startRelay(t, c)
		dial(t, r.addr()) // and read nothing
		if got := r.log.ends(t, 1); got["write-stall us"] != 1 {
			t.Errorf("ends: %v", got)
		}
		st := r.Stats()
		if st.Ended[relay.End{Reason: relay.WriteStall, First: relay.Us}] != 1 || len(c.Up) == 0 && (st.LostDown == 0 || st.Truncated != 1) {
			t.Errorf("stats: %+v", st)
		}
	})
}

// A slow reader that drains the send queue lives, for many times the bound.
func TestSlowReaderLives(t *testing.T) {
	const total = 24 << 20
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) { io.Copy(up, bytesOf(1, total)) })
		c.Timeouts.WriteStall = 300 * time.Millisecond
		r := startRelay(t, c)
		client := dial(t, r.addr())
		client.(*net.TCPConn).SetReadBuffer(64 << 10)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		got := int64(0)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
			<-tick.C
			n, err := io.CopyN(io.Discard, client, 16<<10)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		rest, err := io.Copy(io.Discard, client)
		if got+rest != total || err != nil {
			t.Errorf("got %d bytes, %v; want %d", got+rest, err, total)
		}
		finish(t, client, "")
		if got := r.log.ends(t, 1); got["eof upstream"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}

// Only the maximum lifetime ends a conn that moves.
func TestMaxLifetime(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = address(t, "echo:")
		c.Timeouts.MaxLifetime = 200 * time.Millisecond
		r := startRelay(t, c)
		client := dial(t, r.addr())
		began := time.Now()
		buf := make([]byte, 1)
		for {
			if _, err := client.Write(buf); err != nil {
				break
			}
			if _, err := client.Read(buf); err != nil {
				break
			}
		}
		if d := time.Since(began); d < 200*time.Millisecond {
			t.Errorf("it ended after %v", d)
		}
		if got := r.log.ends(t, 1); got["max-lifetime us"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}
