package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"relayd/tests/leak"
)

func networks(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Deny goes before Allow, an empty Allow lets everybody in, and an IPv4 address is
// one however it is written.
func TestDenies(t *testing.T) {
	for _, tt := range []struct {
		allow, deny  []netip.Prefix
		in, out      []string
		noSourceIsIn bool
	}{
		{nil, nil, []string{"10.0.0.1:1", "[::1]:1"}, nil, true},
		{networks("10.0.0.0/8"), nil, []string{"10.0.0.1:1", "[::ffff:10.0.0.1]:1"}, []string{"11.0.0.1:1", "[::1]:1"}, false},
		{nil, networks("10.0.0.0/8"), []string{"11.0.0.1:1"}, []string{"10.255.0.1:1", "[::ffff:10.0.0.1]:1"}, true},
		{networks("10.0.0.0/8"), networks("10.1.0.0/16"), []string{"10.2.0.1:1"}, []string{"10.1.0.1:1", "12.0.0.1:1"}, false},
		{networks("::ffff:10.0.0.0/104"), nil, []string{"10.1.2.3:1"}, []string{"11.0.0.1:1"}, false},
		{networks("fe80::/10"), nil, []string{"[fe80::1%eth0]:1"}, []string{"[fd00::1]:1"}, false},
		{networks("10.1.2.3/8"), nil, []string{"10.9.9.9:1"}, nil, false},
	} {
		e := &entry{Listener: Listener{Allow: unmapped(tt.allow), Deny: unmapped(tt.deny)}}
		for _, from := range tt.in {
			if e.denies(sourceOf(from)) {
				t.Errorf("allow %v, deny %v: %s is denied", tt.allow, tt.deny, from)
			}
		}
		for _, from := range tt.out {
			if !e.denies(sourceOf(from)) {
				t.Errorf("allow %v, deny %v: %s is not denied", tt.allow, tt.deny, from)
			}
		}
		if e.denies(sourceOf("@")) == tt.noSourceIsIn {
			t.Errorf("allow %v, deny %v: what has no source: in %v", tt.allow, tt.deny, !tt.noSourceIsIn)
		}
	}
}

// Each bound refuses with a reset, counts by its reason, and gives its room back.
func TestLimits(t *testing.T) {
	echo := address(t, "echo:")
	for want, tt := range map[string]struct {
		of    func(*Listener, *Limits)
		room  int  // conns that get in
		again bool // one gets in after one has ended
	}{
		"denied":           {func(l *Listener, _ *Limits) { l.Deny = networks("127.0.0.0/8") }, 0, false},
		"denied ":          {func(l *Listener, _ *Limits) { l.Allow = networks("10.0.0.0/8") }, 0, false},
		"max-conns":        {func(l *Listener, _ *Limits) { l.MaxConns = 2 }, 2, true},
		"max-conns ":       {func(_ *Listener, a *Limits) { a.MaxConns = 2 }, 2, true},
		"max-per-source":   {func(l *Listener, _ *Limits) { l.MaxPerSource = 2 }, 2, true},
		"max-per-source ":  {func(_ *Listener, a *Limits) { a.MaxPerSource = 2 }, 2, true},
		"max-per-source  ": {func(l *Listener, a *Limits) { a.MaxPerSource, l.MaxPerSource = 2, 3 }, 2, true},
		"accept-rate":      {func(l *Listener, _ *Limits) { l.AcceptRate = 0.001 }, 1, false},
		"accept-rate ":     {func(_ *Listener, a *Limits) { a.AcceptRate = 0.001 }, 1, false},
	} {
		t.Run(want, func(t *testing.T) {
			leak.Check(t)
			c := Config{
				Listeners: []Listener{{Name: "a", Address: address(t, "127.0.0.1:0"), Route: "r"}},
				Routes:    []Route{{Name: "r", Upstream: "u"}},
			}
			c.Upstreams = append(c.Upstreams, to("u", echo))
			tt.of(&c.Listeners[0], &c.Limits)
			s, log := start(t, c)
			for range tt.room {
				talk(t, s, "a")
			}
			reason := strings.TrimSpace(want)
			for range 3 {
				wantRefused(t, at(t, s, "a"))
			}
			if n := s.Stats().Refused[reason]; n != 3 {
				t.Errorf("%d were refused: %v", n, s.Stats().Refused)
			}
			if n := s.Live(); n != tt.room {
				t.Errorf("%d conns live", n)
			}
			if tt.again {
				s.Kill(t.Context(), s.Conns()[0].ID)
				talk(t, s, "a")
			}
			cut(t, s)
			line := log.next(t, "connections refused")
			if line["listener"].String() != "a" || line["reason"].String() != reason || line["times"].Int64() < 1 {
				t.Errorf("the line is %v", line)
			}
			if a := s.acceptorList()[0]; s.live.Load() != 0 || a.live.Load() != 0 || len(s.sources.live)+len(a.sources.live) > 0 {
				t.Errorf("at the end there are %d, %d, %v, %v", s.live.Load(), a.live.Load(), s.sources.live, a.sources.live)
			}
		})
	}
}

// Connections that a listener's own rate refuses take nothing of the server's: one
// listener in a flood does not shut the others.
func TestAcceptRatesAreApart(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "flooded", "quiet")
	c.Listeners[0].AcceptRate = 0.001
	s, _ := start(t, c)
	limit := rate.NewLimiter(0, 2) // two a second, of which no time passes
	s.limits.Store(&limits{limiter: limit})
	talk(t, s, "flooded")
	for range 5 {
		wantRefused(t, at(t, s, "flooded"))
	}
	if left := limit.Tokens(); left != 1 {
		t.Errorf("the server's rate has room for %v, want 1", left)
	}
	talk(t, s, "quiet")
}

// A listener that is full, or beyond its rate, or a source that has too many, takes no
// room from others while its flood is refused.
func TestRefusedTakeNoRoom(t *testing.T) {
	for want, limit := range map[refusal]func(*Listener){
		hasMaxConns:     func(l *Listener) { l.MaxConns = 1 },
		hasMaxPerSource: func(l *Listener) { l.MaxPerSource = 1 },
		hasAcceptRate:   func(l *Listener) { l.AcceptRate = 1e-6 }, // the one that is there
	} {
		t.Run(refusals[want], func(t *testing.T) {
			leak.Check(t)
			c := echoing(t, "full", "other")
			c.Limits.MaxConns = 2
			limit(&c.Listeners[0])
			s, _ := start(t, c)
			talk(t, s, "full")
			full, other := s.acceptorList()[0], s.acceptorList()[1]
			var flood sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			flood.Go(func() { floodWith(ctx, t, full, want) })
			refused := 0
			const n = 50000
			for range n {
				v := visit{from: "127.0.0.1:1"}
				if other.admit(&v) != admitted {
					refused++
					continue
				}
				v.path.leave(v.bits, v.source)
			}
			stop()
			flood.Wait()
			if refused > 0 {
				t.Errorf("of %d conns there was room for, %d were refused", n, refused)
			}
		})
	}
}

// floodWith has an acceptor asked to admit again and again what it refuses.
func floodWith(ctx context.Context, t *testing.T, a *acceptor, want refusal) {
	for ctx.Err() == nil {
		if why := a.admit(&visit{from: "127.0.0.1:1"}); why != want {
			t.Errorf("the flood is refused for %q, want %q", refusals[why], refusals[want])
			return
		}
	}
}

// A connection that was accepted while the server was shut down, and comes to be
// admitted when all is over, is refused.
func TestAdmitAfterTheEnd(t *testing.T) {
	leak.Check(t)
	s, _ := start(t, echoing(t, "a"))
	a := s.acceptorList()[0]
	if _, err := s.Resource().Shutdown(t.Context(), errors.New("the test is over")); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	late := make(chan refusal)
	go func() { late <- a.admit(&visit{from: "127.0.0.1:1"}) }()
	select {
	case why := <-late:
		if why != isDraining || s.Live() != 0 {
			t.Errorf("it was refused for %q, and %d conns are counted", refusals[why], s.Live())
		}
	case <-time.After(testPatience):
		t.Fatal("it is neither admitted nor refused")
	}
}

// All reasons have a count from the beginning.
func TestRefusedReasons(t *testing.T) {
	s, _ := start(t, Config{To: address(t, "echo:")})
	var got []string
	for reason := range s.Stats().Refused {
		got = append(got, reason)
	}
	slices.Sort(got)
	if want := []string{"accept-rate", "denied", "draining", "max-conns", "max-per-source", "no-route"}; !slices.Equal(got, want) {
		t.Errorf("the reasons are %v, want %v", got, want)
	}
}

// Connections of Unix sockets have no source.
func TestLimitsOfUnix(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	c.Listeners[0].Address = address(t, t.TempDir()+"/s")
	c.Listeners[0].Deny, c.Listeners[0].MaxPerSource = networks("0.0.0.0/0", "::/0"), 1
	s, _ := start(t, c)
	for range 2 {
		u := dialUnix(t, c.Listeners[0].Address)
		send(t, u, "hello")
		wantText(t, u, "hello")
	}
	c.Listeners[0].Allow = networks("0.0.0.0/0", "::/0")
	reload(t, s, c)
	u := dialUnix(t, c.Listeners[0].Address)
	if n, err := u.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("an Allow lets in who has no address")
	}
}

// A flood of refusals is a line a second, of each reason; nothing is left out of
// the count.
func TestSayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, -1, nil)
		a := b.path.entry.a
		began, total := time.Now(), int64(0)
		for time.Since(began) < 10*time.Second {
			a.refuse(isDenied)
			if total++; total%3 == 0 {
				a.refuse(hasMaxConns)
			}
			a.sayRefused(time.Now(), false)
			<-time.After(10 * time.Millisecond)
		}
		a.sayRefused(time.Now(), true)
		b.close()
		sums, lines := map[string]int64{}, map[string]int{}
		for range len(b.log) {
			r := <-b.log
			sums[attrs(r)["reason"].String()] += attrs(r)["times"].Int64()
			lines[attrs(r)["reason"].String()]++
			if r.Level != slog.LevelWarn || attrs(r)["listener"].String() != "here" {
				t.Errorf("the line is %v", r)
			}
		}
		if sums["denied"] != total || sums["max-conns"] != total/3 || lines["denied"] > 12 || lines["max-conns"] > 12 {
			t.Errorf("of %d: %v in %v lines", total, sums, lines)
		}
	})
}

// IPv6 sources are counted by their network, and what there are no conns of is
// forgotten.
func TestSources(t *testing.T) {
	var all sources
	for _, test := range []struct {
		source string
		fits   bool
	}{
		{"10.0.0.1", true}, {"10.0.0.1", true}, {"10.0.0.1", false}, {"10.0.0.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false}, {"2001:db8:0:1::1", true},
	} {
		if fits := all.add(netip.MustParseAddr(test.source), 2); fits != test.fits {
			t.Errorf("%s fits: %t", test.source, fits)
		}
	}
	for _, s := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::9", "2001:db8::9", "2001:db8:0:1::1"} {
		all.remove(netip.MustParseAddr(s))
	}
	if len(all.live) > 0 {
		t.Errorf("left are %v", all.live)
	}
}

// What a reload leaves alone goes on counting, and what it changes holds at once.
func TestLimitsReload(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	s, _ := start(t, c)
	first := talk(t, s, "a")
	c.Listeners[0].MaxConns, c.Listeners[0].AcceptRate = 2, 0.001
	reload(t, s, c)
	talk(t, s, "a") // takes the second's whole rate
	c.Listeners[0].MaxConns = 0
	reload(t, s, c)
	wantRefused(t, at(t, s, "a"))
	if n := s.Stats().Refused["accept-rate"]; n != 1 {
		t.Errorf("refused were %v", s.Stats().Refused)
	}
	c.Listeners[0].MaxConns, c.Listeners[0].AcceptRate = 2, 0
	reload(t, s, c)
	wantRefused(t, at(t, s, "a"))
	if n := s.Stats().Refused["max-conns"]; n != 1 {
		t.Errorf("refused were %v", s.Stats().Refused)
	}
	send(t, first, "x")
	wantText(t, first, "x")
}
