package relay

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// newDrainTest returns a server with n conns, which live until they are shut
// down: it has no sockets. It is to be made in a bubble.
func newDrainTest(t *testing.T, n int) (*bookTest, []*conn) {
	t.Helper()
	b := &bookTest{log: newLines()}
	b.s = newServer(&Config{Log: slog.New(b.log), LogRate: -1})
	b.path = barePath(b.s, Timeouts{})
	close(b.s.unwatched)
	go b.s.keep()
	if err := serverKind.Init(b.s, nil, lifetime.Block); err != nil {
		t.Fatal(err)
	}
	conns := make([]*conn, n)
	for i := range conns {
		conns[i] = bareConn(b.path)
		if err := connKind.Init(conns[i], &b.s.node, lifetime.Refcount); err != nil {
			t.Fatal(err)
		}
	}
	return b, conns
}

// wantCut drains, and wants the conns of the test to be cut at these times, and
// no other.
func (b *bookTest) wantCut(t *testing.T, ctx context.Context, wait, spread time.Duration, at ...time.Duration) {
	t.Helper()
	began := time.Now()
	r, err := b.s.DrainWithin(ctx, wait, spread)
	if err != nil || r.Cut != len(at) {
		t.Errorf("%d conns cut, %v; want %d", r.Cut, err, len(at))
	}
	var got []time.Duration
	for range len(b.log) {
		if l := <-b.log; attrs(l)["reason"].String() == "drained" {
			got = append(got, l.Time.Sub(began))
		}
	}
	for i := range at {
		if i >= len(got) || got[i] != at[i] {
			t.Fatalf("cut at %v, want %v", got, at)
		}
	}
}

func TestDrainSpread(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		b, _ := newDrainTest(t, 4)
		b.wantCut(t, t.Context(), 10*s, 20*s, 15*s, 20*s, 25*s, 30*s)
	})
	t.Run("without", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newDrainTest(t, 3)
			b.wantCut(t, t.Context(), 10*s, 0, 10*s, 10*s, 10*s)
		})
	})
	t.Run("some end by themselves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, conns := newDrainTest(t, 4)
			time.AfterFunc(11*s, func() { conns[1].node.BeginDrop() })
			time.AfterFunc(21*s, func() { conns[3].node.BeginDrop() })
			b.wantCut(t, t.Context(), 10*s, 20*s, 15*s, 25*s)
		})
	})
	t.Run("all end by themselves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, conns := newDrainTest(t, 2)
			began := time.Now()
			for _, c := range conns {
				time.AfterFunc(12*s, func() { c.node.BeginDrop() })
			}
			b.wantCut(t, t.Context(), 10*s, time.Hour)
			if took := time.Since(began); took != 12*s {
				t.Errorf("the drain has taken %v, want 12s", took)
			}
		})
	})
	t.Run("more than there are milliseconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newDrainTest(t, 5000)
			began := time.Now()
			if r, err := b.s.DrainWithin(t.Context(), s, s); err != nil || r.Cut != 5000 {
				t.Errorf("%d cut, %v", r.Cut, err)
			}
			if took := time.Since(began); took < 2*s || took > 2*s+2*cutEvery {
				t.Errorf("the drain has taken %v, want 2s", took)
			}
		})
	})
}

// The end of the context, a second signal for one, ends what is left at once:
// while the conns are waited for, and while they are cut one after the other.
func TestDrainSpreadIsCutShort(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name string
		end  time.Duration
		at   []time.Duration
	}{
		{"at once", 0, []time.Duration{0, 0, 0}},
		{"while it waits", 3 * s, []time.Duration{3 * s, 3 * s, 3 * s}},
		{"while it cuts", 35 * s, []time.Duration{30 * s, 35 * s, 35 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newDrainTest(t, 3)
				ctx, stop := context.WithTimeout(t.Context(), tt.end)
				defer stop()
				b.wantCut(t, ctx, 10*s, 60*s, tt.at...)
			})
		})
	}
}

// And so it is with sockets.
func TestDrainSpreadOverSockets(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: address(t, "echo:")})
	const n = 4
	for range n {
		c := dial(t, s.Addrs()[0])
		send(t, c, "hello")
		wantText(t, c, "hello")
	}
	const wait, spread = 10 * time.Millisecond, 200 * time.Millisecond
	began := time.Now()
	r, err := s.DrainWithin(t.Context(), wait, spread)
	if err != nil || r.Cut != n {
		t.Errorf("%d cut, %v; want %d", r.Cut, err, n)
	}
	for range n {
		log.wantEnd(t, Drained, Us)
	}
	if took := time.Since(began); took < wait+spread {
		t.Errorf("the drain has taken %v, want %v at least", took, wait+spread)
	}
}
