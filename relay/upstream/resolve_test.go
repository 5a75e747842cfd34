package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relayd/tests/leak"
)

// A zone is a DNS for tests.
type zone struct {
	mu    sync.Mutex
	hosts map[string]string // addresses by name; "" does not answer
	srv   map[string][]*net.SRV
	asked []time.Time
}

func newZone() *zone { return &zone{hosts: make(map[string]string), srv: make(map[string][]*net.SRV)} }

func (z *zone) set(host, addrs string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addrs
}

var errNoSuchHost = errors.New("no such host")

func (z *zone) lookup(_ context.Context, host string) (list []netip.Addr, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, time.Now())
	if z.hosts[host] == "" {
		return nil, errNoSuchHost
	}
	if z.hosts[host] == "none" {
		return nil, nil
	}
	for _, text := range strings.Fields(z.hosts[host]) {
		list = append(list, netip.MustParseAddr(text))
	}
	return list, nil
}

func (z *zone) lookupSRV(_ context.Context, name string) ([]*net.SRV, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.srv[name] == nil {
		return nil, errNoSuchHost
	}
	return z.srv[name], nil
}

// times returns when it was asked since the last call.
func (z *zone) times() []time.Time {
	z.mu.Lock()
	defer z.mu.Unlock()
	list := z.asked
	z.asked = nil
	return list
}

func (z *zone) options() Options { return Options{Lookup: z.lookup, LookupSRV: z.lookupSRV} }

// named is a configuration with a name.
func named(t *testing.T) Config {
	return Config{Name: "test", Targets: []Target{{Name: "db", Address: address(t, "tcp://db.test:5432")}}}
}

func wantMembers(t *testing.T, p *Pool, want string) {
	t.Helper()
	var got []string
	for _, m := range p.Status().Members {
		if m.State != Draining {
			got = append(got, strings.TrimPrefix(m.Name, "db@"))
		}
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("the members are %q, want %q", s, want)
	}
}

// A name has members as long as it had an answer.
func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		p := opened(t, named(t), z.options())
		synctest.Wait()
		if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "db has no address: no such host") {
			t.Errorf("without an answer: %v", err)
		}
		z.set("db.test", "10.0.0.1 10.0.0.2 10.0.0.1 ::ffff:10.0.0.2 2001:db8::1")
		after(5 * time.Second)
		wantMembers(t, p, "[2001:db8::1]:5432 10.0.0.1:5432 10.0.0.2:5432")
		if a := members(p)[0].Address().String(); a != "tcp://[2001:db8::1]:5432" {
			t.Errorf("the first address is %s", a)
		}
		// Failures, and answers without an address, change nothing, and can be seen.
		for _, answer := range []string{"", "none"} {
			z.set("db.test", answer)
			after(40 * time.Second)
			wantMembers(t, p, "[2001:db8::1]:5432 10.0.0.1:5432 10.0.0.2:5432")
			if n := p.Status().Names[0]; n.Err == "" || n.Addresses != 3 || !n.Answered.Before(n.Asked) {
				t.Errorf("with answer %q: %+v", answer, n)
			}
		}
		z.set("db.test", "10.0.0.2 10.0.0.3")
		after(40 * time.Second)
		wantMembers(t, p, "10.0.0.2:5432 10.0.0.3:5432")
		if n := p.Status().Names[0]; n.Err != "" || n.Addresses != 2 || n.Answered != n.Asked {
			t.Errorf("after an answer: %+v", n)
		}
	})
}

// What is known of a member stays with its address, and its conns go on when the
// address has gone.
func TestResolveKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("db.test", "10.0.0.1 10.0.0.2")
		c := named(t)
		c.SlowStart = time.Hour
		p := opened(t, c, z.options())
		synctest.Wait()
		one, two := try(t, p, nobody), try(t, p, nobody)
		if one.Name() != "db@10.0.0.1:5432" || one.Target() != "db" {
			t.Errorf("the first is %s of %s", one.Name(), one.Target())
		}
		z.set("db.test", "10.0.0.2 10.0.0.3")
		after(40 * time.Second)
		if m := member(t, p, one.Name()); m.State != Draining || m.Conns != 1 || m.Why != "it is no longer an address of db.test" {
			t.Errorf("the one that has gone: %+v", m)
		}
		if m := member(t, p, two.Name()); m.Conns != 1 || m.Weight != 1 {
			t.Errorf("the one that stays: %+v", m)
		}
		if m := member(t, p, "db@10.0.0.3:5432"); m.Weight > 0.02 {
			t.Errorf("the one that came has its weight at once: %+v", m)
		}
		// It comes back as what it was.
		z.set("db.test", "10.0.0.1 10.0.0.2 10.0.0.3")
		after(40 * time.Second)
		if m := member(t, p, one.Name()); m.State != Up || m.Conns != 1 || m.Total != 1 {
			t.Errorf("the one that came back: %+v", m)
		}
		z.set("db.test", "10.0.0.2")
		after(40 * time.Second)
		one.Done()
		if n := len(p.Status().Members); n != 1 {
			t.Errorf("after its last conn there are %d members", n)
		}
		two.Done()
	})
}

// Conns that wait get members that come.
func TestResolveServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("db.test", "10.0.0.1")
		c := named(t)
		c.Targets[0].MaxConns = 1
		c.Queue.Timeout = -1
		p := opened(t, c, z.options())
		synctest.Wait()
		fill(t, p)
		w := line(t.Context(), p)
		z.set("db.test", "10.0.0.1 10.0.0.2")
		<-w.done
		if w.m == nil || w.m.Name() != "db@10.0.0.2:5432" {
			t.Errorf("it got %v, %v", w.m, w.err)
		}
	})
}

// Names are asked for on a timer that varies, less and less often when there is
// no answer, and soon after a dial has failed, but not at each.
func TestResolveTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("db.test", "10.0.0.1")
		c := named(t)
		c.Resolve = Resolve{Every: 20 * time.Second, Min: 2 * time.Second}
		p := opened(t, c, z.options())
		after(10 * time.Minute)
		list := z.times()
		if n := len(list); n < 28 || n > 33 {
			t.Errorf("asked %d times in 10m", n)
		}
		gaps := make(map[time.Duration]bool)
		for i := range list[1:] {
			d := list[i+1].Sub(list[i])
			gaps[d] = true
			if d < 18*time.Second || d > 22*time.Second+10*time.Millisecond {
				t.Errorf("asked after %v", d)
			}
		}
		if len(gaps) < 20 {
			t.Errorf("only %d different waits", len(gaps))
		}

		m := members(p)[0]
		after(2 * time.Second)
		z.times()
		for range 500 {
			fail(m, 1, errDial)
			after(10 * time.Millisecond)
		}
		if n := len(z.times()); n < 3 || n > 4 { // 5s
			t.Errorf("asked %d times while dials fail", n)
		}

		z.set("db.test", "")
		after(time.Minute)
		z.times()
		after(10 * time.Minute)
		if n := len(z.times()); n < 28 || n > 33 {
			t.Errorf("without an answer asked %d times in 10m", n)
		}
	})
}

// With Every off, names are asked for at first, and after failed dials.
func TestResolveOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("db.test", "10.0.0.1")
		c := named(t)
		c.Resolve.Every = -1
		p := opened(t, c, z.options())
		after(time.Hour)
		if n := len(z.times()); n != 1 {
			t.Errorf("asked %d times", n)
		}
		fail(members(p)[0], 1, errDial)
		after(10 * time.Millisecond)
		if n := len(z.times()); n != 1 {
			t.Errorf("asked %d times after a failed dial", n)
		}
	})
}

func TestResolveSRV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("one.test", "10.0.0.1")
		z.set("two.test", "10.0.0.2 10.0.0.3")
		z.set("far.test", "10.0.1.1")
		z.srv["_pg._tcp.db.test"] = []*net.SRV{
			{Target: "one.test", Port: 1, Priority: 10, Weight: 30},
			{Target: "two.test", Port: 2, Priority: 10, Weight: 10},
			{Target: "gone.test", Port: 3, Priority: 10, Weight: 10},
			{Target: "far.test", Port: 4, Priority: 20, Weight: 0},
			{Target: ".", Port: 0, Priority: 0},
		}
		c := Config{Name: "test", Targets: []Target{{Name: "db", Address: address(t, "tcp://_pg._tcp.db.test:0"), Records: SRV}}}
		c.Eject.Fails = -1
		p := opened(t, c, z.options())
		synctest.Wait()
		wantMembers(t, p, "10.0.0.1:1 10.0.0.2:2 10.0.0.3:2 10.0.1.1:4")
		got := make(map[string]int)
		for range 50 {
			got[try(t, p, nobody).Name()]++
		}
		if got["db@10.0.0.1:1"] != 30 || got["db@10.0.0.2:2"] != 10 || got["db@10.0.0.3:2"] != 10 {
			t.Errorf("the conns went to %v", got)
		}
		// A host without an answer keeps its last one, and that can be seen.
		z.set("one.test", "")
		z.set("two.test", "10.0.0.3")
		after(time.Minute)
		wantMembers(t, p, "10.0.0.1:1 10.0.0.3:2 10.0.1.1:4")
		if n := p.Status().Names[0]; !strings.Contains(n.Err, "one.test: no such host") {
			t.Errorf("the name: %+v", n)
		}
		// Those of the next priority stand by until the others are down.
		if m := member(t, p, "db@10.0.1.1:4"); !m.Standby || m.State != Up {
			t.Errorf("the far one: %+v", m)
		}
		p.mu.Lock()
		for _, m := range p.members[:2] {
			m.sick = "tests say so"
			p.update(m, time.Now())
		}
		p.mu.Unlock()
		if m := try(t, p, nobody); m.Name() != "db@10.0.1.1:4" {
			t.Errorf("with the others down %s was taken", m.Name())
		}
	})
}

// Answers are bounded: a server's mistake, or its malice, is not our memory.
func TestResolveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		var all []string
		for i := range 5000 {
			all = append(all, fmt.Sprintf("10.%d.%d.1", i/256, i%256))
		}
		z.set("db.test", strings.Join(all, " "))
		p := opened(t, named(t), z.options())
		synctest.Wait()
		if n := len(p.Status().Members); n != maxAddresses {
			t.Errorf("%d members", n)
		}
		slices.Reverse(all[:maxPlaces])
		z.set("db.test", strings.Join(all, " "))
		was := members(p)
		after(40 * time.Second)
		if !slices.Equal(was, members(p)) {
			t.Error("in another order the same addresses are other members")
		}
	})
}

// A pool can be closed while its name is looked up.
func TestCloseEndsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := named(t)
		c.Resolve.Timeout = time.Hour
		p := opened(t, c, Options{Lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		synctest.Wait()
		if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "being looked up") {
			t.Errorf("before the answer: %v", err)
		}
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end took %v", took)
		}
	})
}

// The system's own resolver is asked if nobody else is: here its table of hosts.
func TestResolveBySystem(t *testing.T) {
	leak.Check(t)
	ln := serve(t, "127.0.0.1:0", says("hello"))
	port := ln.Addr().(*net.TCPAddr).Port
	c := Config{Name: "test", Targets: []Target{{Address: address(t, fmt.Sprintf("localhost:%d", port))}}}
	p := opened(t, c, Options{})
	wait(t, p, func() bool { return len(p.Status().Members) > 0 })
	s, m, err := connect(t.Context(), p)
	if err != nil || m.Address().Host != "127.0.0.1" {
		t.Fatalf("connect: %v, %v", m, err)
	}
	hang(t, s)
	m.Done()
	p.Close()
}

// Of a name, addresses without a source of their family are left out.
func TestResolveFitsSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("db.test", "2001:db8::1 10.0.0.1")
		c := named(t)
		c.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		p := opened(t, c, z.options())
		synctest.Wait()
		wantMembers(t, p, "10.0.0.1:5432")
		if n := p.Status().Names[0]; n.Err != "" {
			t.Errorf("the name: %+v", n)
		}
		z.set("db.test", "2001:db8::1")
		after(40 * time.Second)
		wantMembers(t, p, "10.0.0.1:5432")
		if n := p.Status().Names[0]; !strings.Contains(n.Err, "none of the sources [127.0.0.2] is of its family") {
			t.Errorf("the name: %+v", n)
		}
	})
}

// The log has a line for what changes, and none for what does not.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		var mu sync.Mutex
		z := newZone()
		z.set("db.test", "10.0.0.1")
		o := z.options()
		o.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &b}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		p := opened(t, named(t), o)
		after(3 * time.Minute)
		z.set("db.test", "")
		after(3 * time.Minute)
		z.set("db.test", "10.0.0.2")
		after(time.Minute)
		p.Set("db", Down)
		after(time.Second)
		p.Set("db", Up)
		after(time.Second)
		p.Close()
		want := `level=INFO msg="addresses of a name have changed" upstream=test target=db host=db.test came=[10.0.0.1:5432] went=[]
level=WARN msg="name was not found: its last addresses stay" upstream=test target=db host=db.test err="no such host"
level=INFO msg="addresses of a name have changed" upstream=test target=db host=db.test came=[10.0.0.2:5432] went=[10.0.0.1:5432]
level=WARN msg="target is down" upstream=test target=db@10.0.0.2:5432 address=tcp://10.0.0.2:5432 was=up why="by hand"
level=INFO msg="target is up" upstream=test target=db@10.0.0.2:5432 address=tcp://10.0.0.2:5432 was=down why="no longer down"
`
		mu.Lock()
		defer mu.Unlock()
		if b.String() != want {
			t.Errorf("the log is\n%swant\n%s", &b, want)
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
