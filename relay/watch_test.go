package relay

import (
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"relayd/relay/upstream"
	"relayd/socket"
)

// A scene is a server with one conn in a bubble's time. The conn's sockets are
// pipes, and nothing moves but what the test counts.
type scene struct {
	*Server
	c     *conn
	lines lines
}

// inScene plays f, and ends what f has left.
func inScene(t *testing.T, given Timeouts, f func(t *testing.T, s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLines()
		s := newServer(&Config{Log: slog.New(l), LogRate: -1})
		p := barePath(s, given)
		s.sweepAt.Store(int64(s.watchEvery(&plan{routes: []Route{p.route.Route}})))
		if err := serverKind.Init(s, nil, s.Policy); err != nil {
			t.Fatal(err)
		}
		go s.keep()
		go s.watch()
		c := newPipeConn(t, p)
		f(t, &scene{s, c, l})
		c.end(Killed)
		c.drop()
		s.node.BeginDrop()
		<-s.done
	})
}

func newPipeConn(t *testing.T, p *path) *conn {
	t.Helper()
	pool, err := upstream.Open(upstream.Config{Name: "pipe", Targets: []upstream.Target{{Address: address(t, "echo:")}}}, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := p.s
	c := bareConn(p)
	c.began = time.Since(epoch)
	c.takes(pool.TryTake(c.source()))
	if err := connKind.Init(c, &s.node, s.Policy); err != nil {
		t.Fatal(err)
	}
	for _, in := range []*socket.Socket{&c.client, &c.upstream} {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		if _, err := socket.FromConn(ours, socket.At{Parent: &c.node, In: in}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.take(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A move is what happens to a conn at one moment.
type move struct {
	at   time.Duration
	what func(c *conn)
}

func upIn(c *conn)    { c.up.moved.In.Add(1) }
func upBoth(c *conn)  { c.up.moved.In.Add(1); c.up.moved.Out.Add(1) }
func downIn(c *conn)  { c.down.moved.In.Add(1) }
func downOut(c *conn) { c.down.moved.Out.Add(1) }
func upEnds(c *conn)  { c.up.mark(c, pumpStopped) }
func downEnds(c *conn) {
	c.down.mark(c, pumpStopped)
}
func upMoves(c *conn) { c.up.mark(c, pumpStopped|pumpYielded) }

// every repeats a move from the first moment to the last.
func every(d, last time.Duration, what func(c *conn)) (list []move) {
	for at := d; at <= last; at += d {
		list = append(list, move{at, what})
	}
	return list
}

// Each timer ends a conn for its reason, never before its time, and at most a
// quarter of it, or two seconds, later.
func TestTimers(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	tests := []struct {
		name   string
		given  Timeouts
		moves  []move
		reason Reason        // noReason: it lives
		at     time.Duration // when it ends, or until when it lives
	}{
		{"nothing is the default", Timeouts{}, nil, noReason, 30 * hour},
		{"idle", Timeouts{Idle: minute}, nil, Idle, minute},
		{"idle in less than a second", Timeouts{Idle: 200 * time.Millisecond}, nil, Idle, 200 * time.Millisecond},
		{"not idle, upwards", Timeouts{Idle: minute}, every(50*time.Second, 2*hour, upBoth), Idle, 2*hour + minute},
		{"not idle, downwards", Timeouts{Idle: minute}, every(50*time.Second, hour, downBoth), Idle, hour - 10*time.Second + minute},
		{"half-closed and quiet", Timeouts{}, []move{{hour, upEnds}}, HalfClosed, hour + 5*minute},
		{"half-closed by the upstream", Timeouts{HalfClosed: minute}, []move{{hour, downEnds}}, HalfClosed, hour + minute},
		{"half-closed, a byte a minute", Timeouts{}, append([]move{{minute / 2, upEnds}}, every(minute, 3*hour, downBoth)...), HalfClosed, 3*hour + 5*minute},
		{"half-closed, no bound", Timeouts{HalfClosed: -1}, []move{{minute, upEnds}}, noReason, 30 * hour},
		{"half-closed, and idle is shorter", Timeouts{Idle: minute}, []move{{minute / 2, upEnds}}, Idle, minute/2 + minute},
		{"half-closed is shorter than idle", Timeouts{Idle: hour}, []move{{minute, upEnds}}, HalfClosed, 6 * minute},
		{"moving elsewhere is no end", Timeouts{}, []move{{minute, upMoves}}, noReason, 30 * hour},
		{"ended both ways: it lingers", Timeouts{Idle: minute}, []move{{1, upEnds}, {1, downEnds}}, noReason, hour},
		{"write stall", Timeouts{}, []move{{minute, upIn}}, WriteStall, 16 * minute},
		{"write stall, although the other direction runs", Timeouts{}, append([]move{{minute, downIn}}, every(minute, hour, upBoth)...), WriteStall, 16 * minute},
		{"a slow reader", Timeouts{WriteStall: minute}, append([]move{{1, func(c *conn) { c.down.moved.In.Add(1000) }}}, every(50*time.Second, hour, downOut)...), WriteStall, hour - 10*time.Second + minute},
		{"no stall any more", Timeouts{WriteStall: minute}, []move{{minute, downIn}, {minute + 30*time.Second, downOut}}, noReason, hour},
		{"no bound for stalls", Timeouts{WriteStall: -1}, []move{{minute, upIn}}, noReason, 30 * hour},
		{"max lifetime", Timeouts{MaxLifetime: hour}, every(minute, 2*hour, upBoth), MaxLifetime, hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inScene(t, tt.given, func(t *testing.T, s *scene) { s.play(t, tt.moves, tt.reason, tt.at) })
		})
	}
}

func downBoth(c *conn) { c.down.moved.In.Add(1); c.down.moved.Out.Add(1) }

// play makes the moves until the conn ends.
func (s *scene) play(t *testing.T, moves []move, reason Reason, at time.Duration) {
	t.Helper()
	began := time.Now()
	for _, m := range moves {
		wait := time.NewTimer(m.at - time.Since(began))
		select {
		case <-s.c.node.Done():
		case <-wait.C:
			m.what(s.c)
		}
	}
	limit := time.NewTimer(at + max(at/4, 2*time.Second) - time.Since(began))
	select {
	case <-s.c.node.Done():
		if took := time.Since(began); took < at || reason == noReason {
			t.Errorf("it ended after %v (%v), want %v after %v", took, s.c.node.Err(), reason, at)
		}
	case <-limit.C:
		if reason != noReason {
			t.Fatalf("it lives after %v, want %v after %v", time.Since(began), reason, at)
		}
		return
	}
	s.c.drop()
	s.lines.wantEnd(t, reason, Us)
}

// A conn that begins to relay while the watch is on its way to it, with the time
// that it set out at, is not taken for one that was idle for more than a year.
func TestBegunDuringASweep(t *testing.T) {
	inScene(t, Timeouts{Idle: time.Minute}, func(t *testing.T, s *scene) {
		s.c.look(tick(s.c.moved.Load()) - 1)
		if err := s.c.node.Err(); err != nil {
			t.Errorf("it was ended: %v", err)
		}
	})
}

// Short bounds are looked at more often.
func TestSweep(t *testing.T) {
	for _, tt := range []struct {
		given Timeouts
		want  time.Duration
	}{
		{Timeouts{}, time.Second},
		{Timeouts{Idle: 4 * time.Second}, 500 * time.Millisecond},
		{Timeouts{MaxLifetime: time.Millisecond}, 10 * time.Millisecond},
		{Timeouts{HalfClosed: -1, WriteStall: -1}, time.Second},
	} {
		if got := tt.given.complete().sweep(); got != tt.want {
			t.Errorf("%+v: every %v, want %v", tt.given, got, tt.want)
		}
	}
}
