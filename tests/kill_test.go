package tests

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// A kill ends one conn, under every load and chain, and proves it; others go on.
func TestKill(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		c.To = serve(t, address(t, "127.0.0.1:0"), echo)
		r := startRelay(t, c)
		other := dial(t, r.addr())
		exchange(t, other, "before")
		victim := dial(t, r.addr())
		exchange(t, victim, "victim")

		until(t, "all is counted", func() bool { return r.Conns()[1].Down.Out == 6 }) // a count follows the bytes
		list := r.Conns()
		if len(list) != 2 || list[1].State != relay.Open || list[1].Client != victim.LocalAddr().String() ||
			list[1].Up.In != 6 || list[1].Down.Out != 6 {
			t.Fatalf("conns: %+v", list)
		}
		d, ok := r.Conn(list[1].ID)
		if !ok || d.ClientSocket == nil || d.UpstreamSocket == nil || len(d.Resources) < 7 {
			t.Fatalf("conn: %+v", d)
		}
		report, err := r.Kill(t.Context(), list[1].ID)
		if err != nil {
			t.Fatal(err)
		}
		wantGone(t, "client", report.Client)
		wantGone(t, "upstream", report.Upstream)
		wantReset(t, victim, 0)
		if _, err := r.Kill(t.Context(), list[1].ID); !errors.Is(err, relay.ErrNoConn) {
			t.Errorf("a second kill: %v", err)
		}
		exchange(t, other, "after")
		finish(t, other, "")
		if got := r.log.ends(t, 2); got["killed us"] != 1 || got["eof client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}

func wantGone(t *testing.T, side string, r *socket.Report) {
	t.Helper()
	if r == nil || runtime.GOOS == "linux" && r.Kernel != socket.Gone {
		t.Errorf("%s: %+v, want %s", side, r, socket.Gone)
	}
}

// A conn that still dials is killed, too.
func TestKillWhileDialling(t *testing.T) {
	leak.Check(t)
	r := startRelay(t, relay.Config{To: newHole(t).addr, Timeouts: relay.Timeouts{Connect: -1}})
	client := dial(t, r.addr())
	until(t, "a conn dials", func() bool { return r.Live() == 1 })
	c := r.Conns()[0]
	if c.State != relay.Dialling {
		t.Errorf("conn: %+v", c)
	}
	report, err := r.Kill(t.Context(), c.ID)
	if err != nil || report.Upstream != nil {
		t.Errorf("%+v, %v", report, err)
	}
	wantGone(t, "client", report.Client)
	wantReset(t, client, 0)
}

// A conn that is made to finish gets what was read through, and a FIN on both
// sides.
func TestFinish(t *testing.T) {
	eachChain(t, func(t *testing.T, c relay.Config) {
		ended := make(chan error, 1)
		c.To = serve(t, address(t, "127.0.0.1:0"), func(up conn) {
			_, err := io.Copy(struct{ io.Writer }{up}, up) // without splice(2), whose pipes stay
			ended <- err
		})
		r := startRelay(t, c)
		client := dial(t, r.addr())
		exchange(t, client, "hello")
		finished := make(chan error, 1)
		go func() {
			_, err := r.Finish(context.Background(), r.Conns()[0].ID)
			finished <- err
		}()
		if got, err := io.ReadAll(client); len(got) != 0 || err != nil {
			t.Errorf("the client got %q, %v; want a clean end", got, err)
		}
		client.Close()
		if err := <-ended; err != nil {
			t.Errorf("the upstream got %v, want a clean end", err)
		}
		if err := <-finished; err != nil {
			t.Error(err)
		}
		if got := r.log.ends(t, 1); got["killed us"] != 1 {
			t.Errorf("ends: %v", got)
		}
	})
}
