package upstream

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"relayd/socket"
)

var errDial = syscall.ECONNREFUSED

// fail has a member's dials fail, n times.
func fail(m *Member, n int, err error) {
	for range n {
		m.p.mu.Lock()
		m.take()
		m.p.mu.Unlock()
		m.Dialled(err, time.Millisecond)
		m.Done()
	}
}

// after waits for a time of the bubble's, and lets everything happen that does.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A member is ejected when dials to it fail in a row, comes back on trial, and is
// ejected for longer when that fails.
func TestEject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, RoundRobin, 1, 1)
		c.Eject = Eject{Fails: 3, Time: time.Second, Max: 3 * time.Second}
		var mu sync.Mutex
		var told []string
		p := opened(t, c, Options{OnDown: func(m *Member, s State, why string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, m.Name()+" "+s.String()+" "+why)
		}})
		a := members(p)[0]
		fail(a, 2, errDial)
		fail(a, 1, nil)
		fail(a, 2, errDial)
		wantState(t, p, "a", Up)
		fail(a, 1, errDial)
		wantState(t, p, "a", Ejected)
		if got := turns(t, p, 3); got != "bbb" {
			t.Errorf("with a ejected the turns are %s", got)
		}
		for i, d := range []time.Duration{1, 2, 3, 3} {
			d *= time.Second
			after(d - time.Millisecond)
			wantState(t, p, "a", Ejected)
			after(10 * time.Millisecond)
			if m := member(t, p, "a"); m.State != Up || !m.Trial {
				t.Fatalf("after ejection %d: %+v", i+1, m)
			}
			// One conn at a time, until it is known how that went.
			var trial *Member
			for trial = p.TryTake(nobody); trial != a; trial = p.TryTake(nobody) {
				trial.Dialled(nil, 0)
			}
			for range 5 {
				if m := try(t, p, nobody); m == a {
					t.Error("a second conn tries it")
				}
			}
			if i == 3 {
				trial.Dialled(nil, time.Millisecond)
				break
			}
			trial.Dialled(errDial, time.Millisecond)
			trial.Done()
			wantState(t, p, "a", Ejected)
		}
		if m := member(t, p, "a"); m.Trial || m.State != Up || m.Failures != 8 {
			t.Errorf("after a good dial: %+v", m)
		}
		// After a good time it is forgotten how often that was.
		after(4 * time.Second)
		fail(a, 3, errDial)
		after(time.Second + 10*time.Millisecond)
		wantState(t, p, "a", Up)
		if n := p.Status().Ejections; n != 5 {
			t.Errorf("%d ejections, want 5", n)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := "a ejected dial failed: connection refused"; len(told) != 5 || told[0] != want {
			t.Errorf("OnDown was told %q", told)
		}
	})
}

// How many members can be ejected at a time.
func TestEjectNotTooMany(t *testing.T) {
	for _, c := range []struct {
		members, percent int
		down             string // by hand
		want             string
	}{
		{1, 0, "", ""},
		{1, 100, "", "a"},
		{2, 0, "", "a"},
		{2, 49, "", ""},
		{3, 50, "", "a"},
		{4, 50, "", "ab"},
		{4, 99, "", "abc"},
		{4, 100, "", "abcd"},
		{4, 50, "cd", "a"},  // those down by hand are none
		{3, 99, "bc", ""},   // the last one stays
		{3, 100, "bc", "a"}, // but for all
		{10, 10, "", "a"},
	} {
		config := memory(t, RoundRobin, slices.Repeat([]int{1}, c.members)...)
		config.Eject = Eject{Fails: 1, MaxPercent: c.percent}
		p := opened(t, config, Options{})
		for _, name := range c.down {
			p.Set(string(name), Down)
		}
		for _, m := range members(p) {
			fail(m, 1, errDial)
		}
		var got string
		for _, m := range p.Status().Members {
			if m.State == Ejected {
				got += m.Name
			}
		}
		s := p.Status()
		if got != c.want || int(s.Ejections) != len(c.want) || int(s.Ejections+s.Spared) != c.members-len(c.down) {
			t.Errorf("%+v: %q are ejected: %d, and %d not", c, got, s.Ejections, s.Spared)
		}
	}
}

func TestEjectOff(t *testing.T) {
	c := memory(t, RoundRobin, 1, 1)
	c.Eject.Fails = -1
	p := opened(t, c, Options{})
	fail(members(p)[0], 100, errDial)
	wantState(t, p, "a", Up)
}

// What is not the member's failure is not held against it.
func TestBlameless(t *testing.T) {
	c := memory(t, RoundRobin, 1, 1)
	c.Eject.Fails = 1
	p := opened(t, c, Options{})
	for _, err := range []error{context.Canceled, net.ErrClosed, socket.ErrPeerGone, syscall.EADDRNOTAVAIL, syscall.EMFILE} {
		fail(members(p)[0], 1, &socket.Error{Op: "dial", Err: err})
		if m := member(t, p, "a"); m.State != Up || m.Failures != 0 {
			t.Fatalf("after %v: %+v", err, m)
		}
	}
	for i, err := range []error{context.DeadlineExceeded, syscall.ETIMEDOUT, syscall.ECONNREFUSED, socket.ErrOutrun, errors.New("any other")} {
		fail(members(p)[0], 1, &socket.Error{Op: "dial", Err: err})
		if m := member(t, p, "a"); m.State != Ejected || int(m.Failures) != i+1 {
			t.Fatalf("after %v: %+v", err, m)
		}
		p.Set("a", Up) // forgets it
		wantState(t, p, "a", Up)
	}
}

// Resets count if that is wanted: some in a row, and not those of conns that went
// well in between.
func TestResets(t *testing.T) {
	for _, on := range []bool{false, true} {
		c := memory(t, RoundRobin, 1, 1)
		c.Eject = Eject{Fails: 3, Resets: on}
		p := opened(t, c, Options{})
		a := members(p)[0]
		reset := func(n int) {
			for range n {
				p.mu.Lock()
				a.take()
				p.mu.Unlock()
				a.Dialled(nil, 0)
				a.Reset()
				a.Done()
			}
		}
		reset(2)
		fail(a, 1, nil)
		reset(2)
		wantState(t, p, "a", Up)
		reset(1)
		if m := member(t, p, "a"); (m.State == Ejected) != on || m.Resets != 5 {
			t.Errorf("with resets %v: %+v", on, m)
		}
	}
}

// A member that comes up gets its weight little by little.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, RoundRobin, 100, 100)
		c.SlowStart = 10 * time.Second
		p := opened(t, c, Options{})
		if w := member(t, p, "a").Weight; w != 100 {
			t.Errorf("at first its weight is %v", w)
		}
		p.Set("a", Down)
		after(time.Minute)
		p.Set("a", Up)
		for i, want := range []float64{1, 25, 50, 75, 100, 100} {
			if w := member(t, p, "a").Weight; w != want {
				t.Errorf("after %v its weight is %v, want %v", time.Duration(i)*2500*time.Millisecond, w, want)
			}
			if i == 2 {
				if got := share(strings.Split(turns(t, p, 300), ""), "a"); got < 0.32 || got > 0.34 {
					t.Errorf("at half its weight it gets %v, want a third", got)
				}
			}
			after(2500 * time.Millisecond)
		}
	})
}

// The reason of a state is that of the state, however a trial ends.
func TestTrialOfATargetThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, RoundRobin, 1)
		c.Eject = Eject{Fails: 1, Time: time.Second, MaxPercent: 100}
		p := opened(t, c, Options{})
		fail(members(p)[0], 1, errDial)
		after(time.Second + 10*time.Millisecond)
		trial := p.TryTake(nobody)
		p.Set("a", Down)
		trial.Dialled(nil, time.Millisecond)
		if m := member(t, p, "a"); m.State != Down || m.Why != "by hand" || m.Trial {
			t.Errorf("%+v", m)
		}
	})
}

func TestSet(t *testing.T) {
	p := opened(t, memory(t, RoundRobin, 1, 1), Options{})
	for _, s := range []State{Down, Draining} {
		if err := p.Set("a", s); err != nil {
			t.Fatal(err)
		}
		if m := member(t, p, "a"); m.State != s || m.Why != "by hand" {
			t.Errorf("set %v: %+v", s, m)
		}
		if got := turns(t, p, 2); got != "bb" {
			t.Errorf("the turns are %s", got)
		}
	}
	p.Set("b", Down)
	if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrDown) || err.Error() != `upstream "test": no target is up: a is draining: by hand` {
		t.Errorf("with none: %v", err)
	}
	p.Set("a", Up)
	if got := turns(t, p, 2); got != "aa" {
		t.Errorf("the turns are %s", got)
	}
	if err := p.Set("c", Down); err == nil || err.Error() != `upstream "test": it has no target "c"; it has a, b` {
		t.Errorf("set of no target: %v", err)
	}
	for _, s := range []State{Starting, Ejected, 17} {
		if err := p.Set("a", s); err == nil {
			t.Errorf("set %v was taken", s)
		}
	}
}

// The last member that is up is not ejected, when checks have taken the others
// down.
func TestEjectNotTheLast(t *testing.T) {
	for percent, want := range map[int]State{75: Up, 100: Ejected} {
		c := memory(t, RoundRobin, 1, 1, 1, 1)
		c.Eject = Eject{Fails: 1, MaxPercent: percent}
		p := opened(t, c, Options{})
		p.mu.Lock()
		for _, m := range p.members[1:] {
			m.sick = "tests say so"
			p.update(m, time.Now())
		}
		p.mu.Unlock()
		fail(members(p)[0], 1, errDial)
		wantState(t, p, "a", want)
	}
}

// A conn that was never dialled does not leave its member on trial for ever.
func TestTrialWithoutDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, First, 1, 1)
		c.Eject = Eject{Fails: 1, Time: time.Second}
		p := opened(t, c, Options{})
		fail(members(p)[0], 1, errDial)
		after(time.Second + 10*time.Millisecond)
		for range 3 {
			m := p.TryTake(nobody)
			if m != members(p)[0] {
				t.Fatalf("%s was taken", m.Name())
			}
			m.Done()
		}
	})
}
