package tests

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
)

// A drain takes no more connections, and lets those that live come to their end.

// A drained is what a drain returned.
type drained struct {
	relay.DrainResult
	err error
}

// beginDrain drains r on a goroutine.
func beginDrain(ctx context.Context, r *relayd) <-chan drained {
	done := make(chan drained, 1)
	go func() {
		res, err := r.Drain(ctx)
		done <- drained{res, err}
	}()
	return done
}

// wantDrained waits for a drain, which must have cut some conns.
func wantDrained(t *testing.T, done <-chan drained, cut int) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case d := <-done:
		if d.err != nil || d.Cut != cut || len(d.Left) > 0 {
			t.Errorf("drain: %+v, %v; want %d cut and nothing left", d.DrainResult, d.err, cut)
		}
	case <-timer.C:
		t.Fatalf("the drain has not ended within %v", patience)
	}
}

// untilRefused waits until nobody listens at r's address any more.
func untilRefused(t *testing.T, r *relayd) {
	t.Helper()
	n, addr := network(r.addr())
	until(t, "new connections are refused", func() bool {
		c, err := net.DialTimeout(n, addr, patience)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	})
}

func TestDrainWaits(t *testing.T) {
	for _, f := range families(t) {
		t.Run(f.name, func(t *testing.T) {
			leak.Check(t)
			near, far := relays(t, f, serve(t, f.any(t), echo), false)
			c := dial(t, near.addr())
			exchange(t, c, "before")
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			done := beginDrain(ctx, near)
			untilRefused(t, near)
			exchange(t, c, "while it drains")
			select {
			case d := <-done:
				t.Fatalf("the drain has ended with a conn alive: %+v", d)
			default:
			}
			finish(t, c, "")
			wantDrained(t, done, 0)
			if got := near.log.ends(t, 1); got["eof client"] != 1 {
				t.Errorf("ends: %v", got)
			}
			if near.Live() != 0 {
				t.Errorf("%d conns after the drain", near.Live())
			}
			wantDrained(t, beginDrain(ctx, far), 0)
		})
	}
}

func TestDrainDeadlineCuts(t *testing.T) {
	const n = 5
	leak.Check(t)
	r := startRelay(t, relay.Config{To: serve(t, address(t, "127.0.0.1:0"), echo)})
	conns := make([]conn, n)
	for i := range conns {
		conns[i] = dial(t, r.addr())
		exchange(t, conns[i], "hello")
	}
	finish(t, conns[0], "")
	r.log.wait(t, "conn ended", 1)
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	wantDrained(t, beginDrain(ctx, r), n-1)
	for _, c := range conns[1:] {
		wantReset(t, c, 0)
	}
	if got := r.log.ends(t, n); got["eof client"] != 1 || got["drained us"] != n-1 {
		t.Errorf("ends: %v", got)
	}
}

// Who was connected before the drain began is served, also if the server has
// not come round to accepting: to the client the connection stood.
func TestDrainServesTheBacklog(t *testing.T) {
	const n = 300
	leak.Check(t)
	r := startRelay(t, relay.Config{To: address(t, "echo:")})
	conns := make([]conn, n)
	for i := range conns {
		conns[i] = dial(t, r.addr())
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	done := beginDrain(ctx, r)
	lost := 0
	for _, c := range conns {
		_, err := io.WriteString(c, "hello")
		if err == nil {
			err = c.CloseWrite()
		}
		got, readErr := io.ReadAll(c)
		if err != nil || readErr != nil || string(got) != "hello" {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d conns were lost", lost, n)
	}
	wantDrained(t, done, 0)
}
