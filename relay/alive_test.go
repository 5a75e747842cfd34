package relay

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"relayd/socket"
	"relayd/tests/leak"
)

func TestAlive(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	for name, loops := range map[string]int{"loops": 2, "goroutines": -1} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, Config{To: address(t, "echo:"), EventLoops: loops})
			c := dial(t, s.Addrs()[0])
			send(t, c, "hello")
			wantText(t, c, "hello")
			if err := s.Alive(ctx); err != nil {
				t.Error(err)
			}
			cut(t, s)
			if err := s.Alive(ctx); err != nil {
				t.Errorf("after its end: %v", err)
			}
		})
	}
}

// An event loop that does not turn is found by whoever asks.
func TestAliveFindsALoopThatStandsStill(t *testing.T) {
	leak.Check(t)
	log := newLines()
	stuck := stuckLog{log, make(chan struct{})}
	s, err := Start(t.Context(), Config{
		Listen: []socket.Address{address(t, "127.0.0.1:0")}, To: address(t, "echo:"), EventLoops: 1, Log: slog.New(stuck),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cut(t, s)
	// What accepting that goes on again says, it says on the loop.
	s.acceptorList()[0].trouble.open = true
	s.acceptorList()[0].trouble.now.Store(true)
	c := dial(t, s.Addrs()[0])
	stuck.goOn <- struct{}{}
	send(t, c, "hello")
	wantText(t, c, "hello")

	s.acceptorList()[0].trouble.open = true
	s.acceptorList()[0].trouble.now.Store(true)
	dial(t, s.Addrs()[0])
	for s.acceptorList()[0].pulse.beats.Load() < 2 {
		runtime.Gosched()
	}
	now, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := s.Alive(now); err == nil || !strings.Contains(err.Error(), "1 of 1 event loops stand still") {
		t.Errorf("Alive: %v", err)
	}
	close(stuck.goOn)
}

func TestPulse(t *testing.T) {
	const s = time.Second
	now := time.Now()
	type look struct {
		after time.Duration
		waits bool
		beats int64
		still bool
	}
	tests := map[string][]look{
		"nobody comes":       {{0, false, 0, false}, {time.Hour, false, 0, false}},
		"they are accepted":  {{0, true, 1, false}, {10 * s, true, 2, false}, {20 * s, true, 3, false}},
		"accepting fails":    {{0, true, 1, false}, {s, true, 2, false}, {2 * s, true, 3, false}, {3 * s, true, 4, false}},
		"none is accepted":   {{0, true, 5, false}, {1 * s, true, 5, false}, {3 * s, true, 5, false}, {4 * s, true, 5, true}, {9 * s, true, 5, true}},
		"late, but accepted": {{0, true, 5, false}, {1 * s, true, 5, false}, {3 * s, true, 6, false}, {5 * s, true, 6, false}, {7 * s, true, 6, false}, {8 * s, true, 6, true}, {9 * s, false, 6, false}},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			var p pulse
			for i, l := range looks {
				p.beats.Store(l.beats)
				if err := p.feel(l.waits, now.Add(l.after)); err != nil != l.still {
					t.Errorf("look %d: %v", i, err)
				}
			}
		})
	}
}
