package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"relayd/socket"
	"relayd/tests/leak"
)

// at is a target where a listener is.
func at(t testing.TB, name string, ln net.Listener) Target {
	return Target{Name: name, Address: address(t, ln.Addr().String())}
}

// connect is Connect without a source.
func connect(ctx context.Context, p *Pool) (*socket.Socket, *Member, error) {
	return p.Connect(ctx, nobody, socket.At{})
}

// hang ends a connection.
func hang(t testing.TB, s *socket.Socket) {
	s.Shutdown(t.Context(), errors.New("the test is over"))
}

// closed returns an address where nobody listens.
func closed(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return ln
}

// A conn gets the member that can be dialled, and those that cannot be are
// told off.
func TestConnectRetries(t *testing.T) {
	leak.Check(t)
	good := serve(t, "127.0.0.1:0", says("hello"))
	c := Config{Name: "test", Targets: []Target{at(t, "a", closed(t)), at(t, "b", closed(t)), at(t, "c", good)}}
	c.Retry.Min = time.Millisecond
	p := opened(t, c, Options{})
	s, m, err := connect(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer hang(t, s)
	if m.Name() != "c" {
		t.Errorf("connected to %s", m.Name())
	}
	m.Done()
	for _, name := range []string{"a", "b"} {
		if m := member(t, p, name); m.Failures != 1 || m.Conns != 0 || !strings.Contains(m.DialErr, "refused") {
			t.Errorf("%+v", m)
		}
	}
	if s := p.Status(); s.Retries != 2 || s.Taken != 3 {
		t.Errorf("%d retries of %d", s.Retries, s.Taken)
	}
}

// The error of a conn that nobody could be dialled for is that of the last dial.
func TestConnectFails(t *testing.T) {
	leak.Check(t)
	c := Config{Name: "test", Targets: []Target{at(t, "a", closed(t)), at(t, "b", closed(t))}}
	c.Retry = Retry{Attempts: 4, Min: time.Millisecond}
	c.Eject = Eject{Fails: 1, MaxPercent: 100} // the pool is down before the attempts are used up
	p := opened(t, c, Options{})
	_, m, err := connect(t.Context(), p)
	if m != nil || !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), c.Targets[1].Address.String()) {
		t.Errorf("connect: %v, %v", m, err)
	}
	if _, _, err := connect(t.Context(), p); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "a is ejected: dial failed") {
		t.Errorf("of a pool that is down: %v", err)
	}
	if s := p.Status(); s.Taken != 2 || s.Retries != 1 {
		t.Errorf("%d retries of %d", s.Retries, s.Taken)
	}

	c.Eject.Fails = -1
	p = opened(t, c, Options{})
	if _, _, err := connect(t.Context(), p); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v", err)
	}
	if s := p.Status(); s.Retries != 3 || s.Members[0].Failures != 2 || s.Members[1].Failures != 2 || s.Members[0].Conns != 0 {
		t.Errorf("after it: %+v", s)
	}
}

// A caller's time bounds it all, the waits as well.
func TestConnectInTime(t *testing.T) {
	leak.Check(t)
	c := Config{Name: "test", Targets: []Target{at(t, "a", closed(t))}}
	c.Retry = Retry{Attempts: 100, Min: time.Hour}
	p := opened(t, c, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := connect(ctx, p); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v", err)
	}
	if _, _, err := connect(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no time: %v", err)
	}
	if s := p.Status(); s.Taken != 1 || s.Retries != 0 {
		t.Errorf("%d retries of %d", s.Retries, s.Taken)
	}
}

// mute listens at an address, and no dial to it ends: its backlog is full.
func mute(t testing.TB, text string) *socket.Listener {
	t.Helper()
	l, err := socket.Listen(t.Context(), address(t, text+"?backlog=1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Resource().BeginDrop()
		<-l.Resource().Done()
	})
	a := l.Addr()
	for range 2 { // the kernel takes one more than it was told
		c, err := net.Dial("tcp", net.JoinHostPort(a.Host, fmt.Sprint(a.Port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	return l
}

// A target that does not answer leaves time for another one.
func TestDialTimeout(t *testing.T) {
	leak.Check(t)
	to := mute(t, "127.0.0.1:0").Addr()
	to.Options = ""
	c := Config{Name: "test", Targets: []Target{{Name: "a", Address: to}, at(t, "b", serve(t, "127.0.0.1:0", says("")))}}
	c.Retry = Retry{Timeout: 20 * time.Millisecond, Min: time.Millisecond}
	p := opened(t, c, Options{})
	s, m, err := connect(t.Context(), p)
	if err != nil || m.Name() != "b" {
		t.Fatalf("connect: %v, %v", m, err)
	}
	defer hang(t, s)
	m.Done()
	if a := member(t, p, "a"); a.Failures != 1 {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct {
		retry      Retry
		left, want time.Duration
	}{
		{Retry{}, time.Minute, 3 * time.Second},
		{Retry{}, time.Second, time.Second},
		{Retry{}, -1, 3 * time.Second},
		{Retry{Timeout: -1}, time.Minute, time.Minute},
		{Retry{Attempts: -1}, time.Minute, time.Minute},
		{Retry{Attempts: -1}, -1, -1},
	} {
		config := memory(t, First, 1)
		config.Retry = c.retry
		if got := opened(t, config, Options{}).DialTimeout(c.left); got != c.want {
			t.Errorf("%+v of %v: %v, want %v", c.retry, c.left, got, c.want)
		}
	}
}

// Waits double up to a bound, and vary by half.
func TestRetry(t *testing.T) {
	c := memory(t, First, 1)
	c.Retry = Retry{Attempts: 6, Min: 100 * time.Millisecond, Max: 500 * time.Millisecond}
	p := opened(t, c, Options{})
	for i, want := range []time.Duration{100, 200, 400, 500, 500} {
		want *= time.Millisecond
		seen := make(map[time.Duration]bool)
		for range 100 {
			wait, ok := p.Retry(i + 1)
			if !ok || wait < want/2 || wait > want {
				t.Fatalf("after dial %d: %v, %v; want up to %v", i+1, wait, ok, want)
			}
			seen[wait] = true
		}
		if len(seen) < 50 {
			t.Errorf("after dial %d there are %d different waits of 100", i+1, len(seen))
		}
	}
	if wait, ok := p.Retry(6); ok {
		t.Errorf("after the last dial: %v", wait)
	}
	c.Retry.Attempts = -1
	if _, ok := opened(t, c, Options{}).Retry(1); ok {
		t.Error("with no retries there is one")
	}
}

// both returns a pool of a name with both families, and listeners on one port: on
// ::1 one that v6 makes, on 127.0.0.1 one that serves.
func both(t *testing.T, v6 func(at string)) *Pool {
	t.Helper()
	// Somebody else may have the port in the other family.
	var ln net.Listener
	for {
		ln = serve(t, "127.0.0.1:0", says("four"))
		port := ln.Addr().(*net.TCPAddr).Port
		probe, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port))
		if err == nil {
			probe.Close()
			break
		}
	}
	port := ln.Addr().(*net.TCPAddr).Port
	v6(fmt.Sprintf("[::1]:%d", port))
	z := newZone()
	z.set("both.test", "::1 127.0.0.1")
	c := Config{Name: "test", Targets: []Target{{Name: "both", Address: address(t, fmt.Sprintf("both.test:%d", port))}}}
	p := opened(t, c, z.options())
	wait(t, p, func() bool { return len(p.Status().Members) == 2 })
	return p
}

// With addresses of both families one that fails, or is silent, is no more than
// a moment of waiting; and who does not win is left alone after a while.
func TestBothFamilies(t *testing.T) {
	for name, v6 := range map[string]func(t *testing.T) func(string){
		"refuses":   func(*testing.T) func(string) { return func(string) {} },
		"is silent": func(t *testing.T) func(string) { return func(at string) { mute(t, at) } },
	} {
		t.Run("IPv6 "+name, func(t *testing.T) {
			leak.Check(t)
			p := both(t, v6(t))
			six, four := members(p)[0], members(p)[1]
			if six.is4() || six.OnLoop() || four.OnLoop() {
				t.Error("a loop is to dial one of both families")
			}
			for i := 0; ; i++ {
				began := time.Now()
				s, m, err := connect(t.Context(), p)
				if err != nil || m != four {
					t.Fatalf("connect: %v, %v", m, err)
				}
				hang(t, s)
				m.Done()
				if took := time.Since(began); name == "refuses" && took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if member(t, p, six.Name()).State == Ejected {
					break
				}
				if i > 20 {
					t.Fatalf("it is never ejected: %+v", p.Status())
				}
			}
			for _, m := range p.Status().Members {
				if m.Conns != 0 {
					t.Errorf("%s is held by %d", m.Name, m.Conns)
				}
			}
		})
	}
	t.Run("both answer", func(t *testing.T) {
		leak.Check(t)
		p := both(t, func(at string) { serve(t, at, says("six")) })
		for _, want := range []*Member{members(p)[0], members(p)[1]} {
			s, m, err := connect(t.Context(), p)
			if err != nil || m != want {
				t.Fatalf("connect: %v, %v", m, err)
			}
			hang(t, s)
			m.Done()
		}
		for _, m := range p.Status().Members {
			if m.Total != 1 || m.Failures != 0 {
				t.Errorf("%+v", m)
			}
		}
	})
}

// A conn that is shut down while it dials gets no socket, whichever address has
// answered: then it has the member that it had, and owes no more than its end.
func TestFasterFamilyIsTooLate(t *testing.T) {
	leak.Check(t)
	p := both(t, func(string) {}) // the other one answers
	parent := serve(t, "127.0.0.1:0", says(""))
	s, err := socket.Dial(t.Context(), address(t, parent.Addr().String()), socket.At{})
	if err != nil {
		t.Fatal(err)
	}
	hang(t, s)
	m := p.TryTake(nobody)
	if m != members(p)[0] {
		t.Fatalf("taken was %v", m)
	}
	_, holds, err := p.Dial(t.Context(), m, socket.At{Parent: s.Resource()})
	if err == nil || holds != m {
		t.Errorf("dialled: %v, with %s held; want %s", err, holds.Name(), m.Name())
	}
	m.Done()
	for _, m := range p.Status().Members {
		if m.Conns != 0 || m.Total != 1 {
			t.Errorf("%+v", m)
		}
	}
}

// Targets die and come back under load, and no conn hears of it.
func TestTargetsDieUnderLoad(t *testing.T) {
	leak.Check(t)
	echo := func(c net.Conn) { io.Copy(c, struct{ io.Reader }{c}) }
	var lns []net.Listener
	c := Config{Name: "test", Balance: TwoChoices, Eject: Eject{Fails: 2, Time: 5 * time.Millisecond, Max: 10 * time.Millisecond, MaxPercent: 67}}
	c.Retry = Retry{Attempts: 20, Min: time.Millisecond, Max: 5 * time.Millisecond}
	for _, name := range []string{"a", "b", "c"} {
		ln := serve(t, "127.0.0.1:0", echo)
		lns = append(lns, ln)
		target := at(t, name, ln)
		target.MaxConns = 3
		c.Targets = append(c.Targets, target)
	}
	p := opened(t, c, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var good, bad atomic.Int64
	var all sync.WaitGroup
	for range 12 { // more than the targets take
		all.Go(func() {
			for ctx.Err() == nil {
				s, m, err := connect(context.Background(), p)
				if err != nil {
					bad.Add(1)
					t.Error(err)
					return
				}
				if w, err := s.Send(); err == nil {
					w.Write([]byte("hello"))
				}
				good.Add(1)
				hang(t, s)
				m.Done()
			}
		})
	}
	for round := range 4 {
		i := round % len(lns)
		name := c.Targets[i].Name
		was := member(t, p, name).Total
		wait(t, p, func() bool { return member(t, p, name).Total > was+20 })
		ejections := p.Status().Ejections
		lns[i].Close()
		wait(t, p, func() bool { return p.Status().Ejections > ejections })
		lns[i] = serve(t, lns[i].Addr().String(), echo)
		was = member(t, p, name).Total
		wait(t, p, func() bool { m := member(t, p, name); return m.State == Up && m.Total > was+20 })
	}
	stop()
	all.Wait()
	for _, m := range p.Status().Members {
		if m.Conns != 0 {
			t.Errorf("%s is held by %d", m.Name, m.Conns)
		}
	}
	if s := p.Status(); bad.Load() > 0 || s.Queued != 0 || s.Waited == 0 {
		t.Errorf("%d good, %d bad: %+v", good.Load(), bad.Load(), s)
	}
}

// OnDown may take its time, and call the pool: nobody waits for it.
func TestOnDownMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, RoundRobin, 1, 1)
		c.Eject = Eject{Fails: 1, Time: time.Second}
		var p *Pool
		goOn := make(chan struct{})
		p = opened(t, c, Options{OnDown: func(m *Member, s State, why string) {
			p.Status()
			p.Set("b", Up)
			<-goOn
		}})
		fail(members(p)[0], 1, errDial)
		after(2 * time.Second)
		wantState(t, p, "a", Up)
		if got := turns(t, p, 4); strings.Count(got, "a") != 2 {
			t.Errorf("the turns are %s", got)
		}
		close(goOn)
	})
}

// The second of two addresses is not to blame when the first one wins after all.
func TestSecondFamilyIsOutrun(t *testing.T) {
	leak.Check(t)
	four := mute(t, "127.0.0.1:0")
	port := four.Addr().Port
	six := mute(t, fmt.Sprintf("[::1]:%d", port))
	z := newZone()
	z.set("both.test", "::1 127.0.0.1")
	c := Config{Name: "test", Targets: []Target{{Name: "both", Address: address(t, fmt.Sprintf("both.test:%d", port))}}}
	c.Retry.Timeout = 30 * time.Second
	p := opened(t, c, z.options())
	wait(t, p, func() bool { return len(p.Status().Members) == 2 })
	done := make(chan *Member)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		s, m, err := connect(t.Context(), p)
		if err != nil {
			t.Error(err)
		} else {
			hang(t, s)
		}
		done <- m
	})
	wait(t, p, func() bool { s := p.Status(); return s.Members[0].Conns == 1 && s.Members[1].Conns == 1 })
	for range 2 { // there is room now, for when it is tried again
		in, err := six.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s, err := in.Open(socket.At{})
		if err != nil {
			t.Fatal(err)
		}
		defer hang(t, s)
	}
	m := <-done
	if m != members(p)[0] {
		t.Fatalf("connected to %v", m)
	}
	m.Done()
	for _, m := range p.Status().Members {
		if m.Failures != 0 || m.Conns != 0 || m.Total != 1 {
			t.Errorf("%+v", m)
		}
	}
}
