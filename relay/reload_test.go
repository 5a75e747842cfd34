package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// A reload says what it has changed.
func TestReloadChange(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a", "b", "c")
	s, _ := start(t, c)
	if change := reload(t, s, c); !change.None() || !slices.Equal(change.Listeners.Kept, []string{"a", "b", "c"}) {
		t.Errorf("the same again: %+v", change)
	}
	next := echoing(t, "b", "c", "d")
	next.Listeners[1].MaxConns = 7
	next.Routes[1].Timeouts.Idle = time.Hour
	next.Upstreams[1].Targets[0].Address = address(t, "discard:")
	change := reload(t, s, next)
	want := Changes{Added: []string{"d"}, Removed: []string{"a"}, Changed: []string{"c"}, Kept: []string{"b"}}
	if !reflect.DeepEqual(change, Change{Listeners: want, Routes: want, Upstreams: want}) {
		t.Errorf("the change is %+v", change)
	}
	if got := s.Listeners(); len(got) != 3 || got[1].MaxConns != 7 {
		t.Errorf("the listeners are %+v", got)
	}
}

// The address of a listener that was removed is free when the reload is over, and
// the next one can have it again. Chaos found that a loop may still be about to
// leave the listener then.
func TestReloadFreesAddresses(t *testing.T) {
	leak.Check(t)
	without := echoing(t, "a")
	s, _ := start(t, without)
	with := echoing(t, "a", "b")
	for range 300 {
		reload(t, s, with)
		removed := s.acceptorList()[1]
		reload(t, s, without)
		if state := removed.l.Resource().State(); state != lifetime.Released {
			t.Fatalf("the reload is over, and the listener is %v", state)
		}
		with.Listeners[1].Address = removed.l.Addr()
	}
}

// Conns go on with what they began with, those that come have the new.
func TestReloadIsForThoseThatCome(t *testing.T) {
	leak.Check(t)
	one, two := listen(t), listen(t)
	c := echoing(t, "a")
	c.Upstreams[0] = to("a", one.addr)
	s, log := start(t, c)
	where := s.Addrs()[0]
	old := dial(t, where)
	oldUp := one.accept(t)
	c.Upstreams = []upstream.Config{to("a", two.addr)}
	c.Routes = []Route{{Name: "a", Upstream: "a", Up: transform.Chain{twice}}}
	before := s.setup.Load().pools["a"]
	reload(t, s, c)
	if got := s.Addrs()[0]; got != where {
		t.Errorf("the listener is at %v, it was at %v", got, where)
	}
	young := dial(t, where)
	youngUp := two.accept(t)
	send(t, young, "x")
	wantText(t, youngUp, "xx")
	send(t, old, "x")
	wantText(t, oldUp, "x")
	if n := before.holders.Load(); n != 1 {
		t.Errorf("the pool of before has %d holders, want the conn", n)
	}
	finish(t, old)
	wantEOF(t, oldUp)
	finish(t, oldUp)
	wantEOF(t, old)
	log.wantEnd(t, EOF, Client)
	eventually(t, "the pool of before is closed", func() bool { return before.holders.Load() == 0 })
	finish(t, young)
	wantEOF(t, youngUp)
}

// What stays is the same object: the health of targets, the stages that a route
// was edited to have, the port that was chosen.
func TestReloadKeeps(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a", "b")
	s, _ := start(t, c)
	ports := s.Addrs()
	pool := s.setup.Load().pools["a"]
	if _, _, err := s.EditChains("a", func(_, _ transform.Chain) (transform.Chain, transform.Chain, error) {
		return transform.Chain{twice}, nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	c.Upstreams = append(c.Upstreams, to("c", address(t, "discard:")))
	c.Routes[1].Upstream = "c"
	reload(t, s, c)
	if now := s.setup.Load().pools["a"]; now != pool || now.holders.Load() != 1 {
		t.Errorf("the pool is %p with %d holders, it was %p", now, now.holders.Load(), pool)
	}
	if !slices.Equal(s.Addrs(), ports) {
		t.Errorf("listening at %v, before at %v", s.Addrs(), ports)
	}
	d := dial(t, at(t, s, "a"))
	send(t, d, "x")
	wantText(t, d, "xx")
	// The upstream changes, the route does not.
	c.Upstreams[0].Retry.Attempts = 7
	change := reload(t, s, c)
	if up, _, _ := s.Chains("a"); up.String() != "twice" || !slices.Contains(change.Routes.Kept, "a") || !slices.Contains(change.Upstreams.Changed, "a") {
		t.Errorf("the route has %q after %+v", up, change)
	}
	c.Routes[0].Up = transform.Chain{through}
	reload(t, s, c)
	if up, _, _ := s.Chains("a"); up.String() != "through" {
		t.Errorf("a route that has changed has %q", up)
	}
}

// A socket stays with its address, whatever it is called.
func TestReloadHandsSocketsOver(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a", "b")
	s, log := start(t, c)
	old := talk(t, s, "a")
	pa, pb := at(t, s, "a"), at(t, s, "b")
	move := func(what string, change func(c *Config), want ...socket.Address) {
		t.Helper()
		resources := listenersOf(s)
		change(&c)
		reload(t, s, c)
		if got := s.Addrs(); !slices.Equal(got, want) {
			t.Fatalf("%s: listening at %v, want %v", what, got, want)
		}
		if got := listenersOf(s); !slices.Equal(got, resources) {
			t.Errorf("%s: the sockets are %v, they were %v", what, got, resources)
		}
		for _, l := range c.Listeners {
			talk(t, s, l.Name)
		}
	}
	move("ports that were chosen are asked for", func(c *Config) { c.Listeners[0].Address, c.Listeners[1].Address = pa, pb }, pa, pb)
	move("two exchange their addresses", func(c *Config) { c.Listeners[0].Address, c.Listeners[1].Address = pb, pa }, pb, pa)
	move("one has another name", func(c *Config) { c.Listeners[0].Name = "x" }, pb, pa)
	move("the other order", func(c *Config) { slices.Reverse(c.Listeners) }, pa, pb)
	i, _ := s.Conn(oldest(s))
	if i.Listener != "a" {
		t.Errorf("the conn came in at %s", i.Listener)
	}
	finish(t, old)
	wantEOF(t, old)
	if end := log.wantEnd(t, EOF, Client); end["listener"].String() != "a" {
		t.Errorf("the line is %v", end)
	}
}

func oldest(s *Server) string { return s.Conns()[0].ID }

// listenersOf returns the ids of all sockets that listen.
func listenersOf(s *Server) (ids []uint64) {
	for _, i := range lifetime.Snapshot(s.Resource()) {
		if i.Kind == "listener" {
			ids = append(ids, i.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// A reload that fails has changed nothing, and left nothing open.
func TestReloadRefuses(t *testing.T) {
	leak.Check(t)
	taken := listen(t).addr
	good := echoing(t, "a", "b")
	good.Listeners[0].Address = address(t, t.TempDir()+"/s")
	s, _ := start(t, good)
	used := at(t, s, "b")
	for want, change := range map[string]func(c *Config){
		"there is no route": func(c *Config) { c.Listeners[0].Route = "z" },
		"address already in use": func(c *Config) {
			d := echoing(t, "a", "b", "c", "d")
			c.Listeners, c.Routes, c.Upstreams = d.Listeners, d.Routes, d.Upstreams
			c.Listeners[0], c.Listeners[3].Address = good.Listeners[0], taken
		},
		"a reload can change neither the options": func(c *Config) {
			c.Listeners[1].Address = used
			c.Listeners[1].Address.Options = "backlog=5"
		},
		"address": func(c *Config) {
			c.Listeners = append(c.Listeners, Listener{Address: address(t, "127.0.0.1:0"), Route: "a"})
			c.Upstreams = append(c.Upstreams, to("z", address(t, ":80")))
		},
		"no address to listen on":             func(c *Config) { *c = Config{} },
		"EventLoops: a reload cannot change":  func(c *Config) { c.EventLoops = 77 },
		"Policy: a reload cannot change it":   func(c *Config) { c.Policy = lifetime.Trap },
		"LogEvery: a reload cannot change it": func(c *Config) { c.LogEvery = time.Hour },
	} {
		c := good
		c.Listeners, c.Routes, c.Upstreams = slices.Clone(good.Listeners), slices.Clone(good.Routes), slices.Clone(good.Upstreams)
		c.LogRate = -1
		inMode(&c)
		setup, resources, entry := s.setup.Load(), lifetime.Snapshot(nil), s.acceptorList()[0].entry.Load()
		change(&c)
		got, err := s.Reload(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), want) || !got.None() {
			t.Errorf("want an error with %q, got %+v, %v", want, got, err)
		}
		if s.setup.Load() != setup || s.acceptorList()[0].entry.Load() != entry || len(s.acceptorList()) != 2 {
			t.Errorf("%s: something has changed", want)
		}
		if now := lifetime.Snapshot(nil); len(now) != len(resources) {
			t.Errorf("%s: there is %v, there was %v", want, now, resources)
		}
		for name, p := range setup.pools {
			if p.holders.Load() != 1 {
				t.Errorf("%s: the pool %s has %d holders", want, name, p.holders.Load())
			}
		}
		talk(t, s, "b")
		eventually(t, "the conn has ended", func() bool { killAll(t, s); return s.Live() == 0 })
	}
}

func killAll(t *testing.T, s *Server) {
	t.Helper()
	for _, c := range s.Conns() {
		s.Kill(t.Context(), c.ID)
	}
}

// While the server drains, and after its end, it cannot be changed; and a reload
// waits for the one before no longer than its context.
func TestReloadWhileDraining(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	s, _ := start(t, c)
	now, stop := context.WithCancel(t.Context())
	stop()
	s.changing <- struct{}{}
	if _, err := s.Reload(now, with(s, c)); !errors.Is(err, context.Canceled) {
		t.Errorf("while another reload is under way: %v", err)
	}
	<-s.changing
	talk(t, s, "a")
	done := drain(t.Context(), s)
	<-s.stopping
	c.Listeners = append(c.Listeners, Listener{Name: "b", Address: address(t, "127.0.0.1:0"), Route: "a"})
	if _, err := tryReload(t, s, c); !errors.Is(err, ErrDraining) {
		t.Errorf("while draining: %v", err)
	}
	killAll(t, s)
	<-done
	if _, err := tryReload(t, s, c); !errors.Is(err, ErrDraining) {
		t.Errorf("after the end: %v", err)
	}
}

// with returns c as it must be for s.
func with(s *Server, c Config) Config {
	c.LogRate, c.EventLoops, c.MoveEvery = s.LogRate, s.EventLoops, s.MoveEvery
	return c
}

// What the backlog of a listener holds that goes is accepted, and served on the
// route that it came for.
func TestReloadServesTheBacklog(t *testing.T) {
	const n = 20
	leak.Check(t)
	g := &gate{newLines(), "conn accepted", make(chan struct{}), make(chan struct{})}
	c := echoing(t, "a", "b")
	c.Log = slog.New(g)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(func() { release(); cut(t, s) })
	where := at(t, s, "a")
	list := []*net.TCPConn{dial(t, where)}
	<-g.reached // the log stands still; conns do not
	for range n {
		list = append(list, dial(t, where))
	}
	c.Listeners, c.Routes, c.Upstreams = c.Listeners[1:], c.Routes[1:], c.Upstreams[1:]
	change, err := s.Reload(t.Context(), c)
	if err != nil || !slices.Equal(change.Routes.Removed, []string{"a"}) {
		t.Fatalf("%+v, %v", change, err)
	}
	release()
	for i, d := range list {
		send(t, d, "hello")
		finish(t, d)
		if got, err := io.ReadAll(d); err != nil || string(got) != "hello" {
			t.Fatalf("conn %d: got %q, %v", i, got, err)
		}
	}
	if d, err := net.Dial("tcp", net.JoinHostPort(where.Host, strconv.Itoa(int(where.Port)))); err == nil {
		d.Close()
		t.Error("a new connection was taken")
	}
	talk(t, s, "b")
}

// Conns of a route that is removed stay, are given time, or are shut down.
func TestOnRemove(t *testing.T) { eachPolicy(t, testOnRemove) }

func testOnRemove(t *testing.T, policy lifetime.Policy) {
	for _, how := range []OnRemove{KeepConns, DrainConns, KillConns} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			leak.Check(t)
			c := echoing(t, "a", "b")
			c.Policy = policy
			c.Routes[0].OnRemove, c.Routes[0].Timeouts.Drain = how, 50*time.Millisecond
			s, log := start(t, c)
			gone := talk(t, s, "a")
			c.Routes[0].Timeouts.Idle = time.Hour // and those of before a change
			reload(t, s, c)
			later, stays := talk(t, s, "a"), talk(t, s, "b")
			c.Listeners, c.Routes, c.Upstreams = c.Listeners[1:], c.Routes[1:], c.Upstreams[1:]
			change := reload(t, s, c)
			wantKilled, wantDraining := 0, 0
			switch how {
			case KeepConns:
				for _, d := range []*net.TCPConn{gone, later} {
					send(t, d, "x")
					wantText(t, d, "x")
				}
			case DrainConns:
				wantDraining = 2
				for _, d := range []*net.TCPConn{gone, later} {
					wantEOF(t, d) // it is told the end, and has all that came before
					finish(t, d)
				}
				seen := log.gather(t, "conn ended", 2, "removed route has drained", 1)
				for _, end := range seen["conn ended"] {
					if end["reason"].String() != "removed" {
						t.Errorf("the end is %v", end)
					}
				}
				line := seen["removed route has drained"][0]
				if line["route"].String() != "a" || line["conns"].Int64() != 2 || line["finished"].Int64() != 2 || line["cut"].Int64() != 0 {
					t.Errorf("the line is %v", line)
				}
			case KillConns:
				wantKilled = 2
				for _, d := range []*net.TCPConn{gone, later} {
					wantReset(t, d)
					log.wantEnd(t, Removed, Us)
				}
			}
			if change.Killed != wantKilled || change.Draining != wantDraining {
				t.Errorf("the change is %+v", change)
			}
			send(t, stays, "x")
			wantText(t, stays, "x")
		})
	}
}

// A conn that ends by itself in its route's drain time ends well, and the drain of
// the server does not wait for that of a route.
func TestDrainOfARoute(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a", "b")
	c.Routes[0].OnRemove, c.Routes[0].Timeouts.Drain = DrainConns, time.Hour
	s, log := start(t, c)
	ends, stays := talk(t, s, "a"), talk(t, s, "a")
	c.Listeners, c.Routes, c.Upstreams = c.Listeners[1:], c.Routes[1:], c.Upstreams[1:]
	if change := reload(t, s, c); change.Draining != 2 {
		t.Errorf("the change is %+v", change)
	}
	send(t, ends, "more")
	wantText(t, ends, "more")
	finish(t, ends)
	wantEOF(t, ends)
	log.wantEnd(t, EOF, Client)
	cut(t, s)
	wantReset(t, stays)
	log.wantEnd(t, Drained, Us)
}

// Under a load of short conns the server is reloaded every few milliseconds: the
// upstream, the route, the listener's name, other listeners come and go. No conn
// is lost.
func TestReloadUnderLoad(t *testing.T) {
	eachPolicy(t, soak)
}

func soak(t *testing.T, policy lifetime.Policy) {
	const clients, conns = 4, 150
	leak.Check(t)
	one, two := serveEcho(t), serveEcho(t)
	config := func(i int) Config {
		c := echoing(t, "a")
		c.Policy = policy
		c.Listeners[0].Name = []string{"a", "b"}[i%2]
		c.Listeners[0].MaxConns = 1000 + i
		c.Upstreams[0] = to("a", []socket.Address{one, two}[i/2%2])
		if i%5 == 4 { // another route altogether
			c.Routes[0].Name, c.Listeners[0].Route = "z", "z"
		}
		if i%3 == 1 {
			c.Routes[0].Up = transform.Chain{through}
		}
		for range i % 3 {
			c.Listeners = append(c.Listeners, Listener{Address: address(t, "127.0.0.1:0"), Route: c.Routes[0].Name})
		}
		return c
	}
	s, _ := start(t, config(0))
	where := s.Addrs()[0]
	var running sync.WaitGroup
	var failed atomic.Value
	for k := range clients {
		running.Go(func() {
			for i := range conns {
				if err := exchangeOnce(where, fmt.Sprintf("conn %d of client %d", i, k)); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { running.Wait(); close(over) }()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for i := 1; ; i++ {
		c := config(i)
		if change := reload(t, s, c); len(change.Listeners.Added)+len(change.Listeners.Kept)+len(change.Listeners.Changed) != len(c.Listeners) {
			t.Errorf("the change is %+v", change)
		}
		if got := s.Addrs()[0]; got != where {
			t.Fatalf("listening at %v, want %v", got, where)
		}
		select {
		case <-over:
			if err := failed.Load(); err != nil {
				t.Errorf("after %d reloads: %v", i, err)
			}
			for reason, n := range s.Stats().Refused {
				if n > 0 {
					t.Errorf("%d were refused: %s", n, reason)
				}
			}
			t.Logf("%d reloads", i)
			return
		case <-tick.C:
		}
	}
}

// exchangeOnce is the life of a short conn.
func exchangeOnce(a socket.Address, text string) error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), testPatience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testPatience))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %q, want %q", got, text)
	}
	return err
}

// serveEcho echoes until the test's end.
func serveEcho(t *testing.T) socket.Address {
	t.Helper()
	u := listen(t)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := u.ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(testPatience))
				io.Copy(c, struct{ io.Reader }{c})
			})
		}
	})
	t.Cleanup(func() { u.ln.Close(); running.Wait() })
	return u.addr
}

// Who gets which socket is found without comparing all with all, and that for
// all: it took a second for a thousand listeners that move, and it would take
// minutes for so many.
func TestHandOverOfMany(t *testing.T) {
	const n = 5000
	var now []*acceptor
	var others []Listener
	here := address(t, "127.0.0.1:0")
	for i := range uint16(n) {
		a := &acceptor{given: here, l: new(socket.Listener)}
		a.given.Port = i + 1
		a.entry.Store(&entry{Listener: Listener{Name: strconv.Itoa(int(i)), Address: a.given}})
		now = append(now, a)
		others = append(others, Listener{Name: "other", Address: a.given})
		others[i].Address.Host = "127.0.0.2"
	}
	for i, a := range handOver(now, others) {
		if a != nil {
			t.Fatalf("%v gets the socket of %v", others[i].Address, a.given)
		}
	}
	for i := range others { // now they change places
		others[i].Address = now[n-1-i].given
	}
	for i, a := range handOver(now, others) {
		if a != now[n-1-i] {
			t.Fatalf("%v does not get the socket that has its address", others[i].Address)
		}
	}
}

// Reloads and a drain at any moment of each other end well.
func TestDrainRacesReload(t *testing.T) {
	leak.Check(t)
	for i := range 20 {
		c := echoing(t, "a")
		s, _ := start(t, c)
		talk(t, s, "a")
		c.Listeners = append(c.Listeners, Listener{Name: "b", Address: address(t, "127.0.0.1:0"), Route: "a"})
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := tryReload(t, s, c); err != nil && !errors.Is(err, ErrDraining) {
				t.Errorf("reload: %v", err)
			}
		})
		for range i * 100 {
			s.Draining()
		}
		cut(t, s)
		running.Wait()
	}
}

// A server whose one listener is through by itself cannot be changed any more.
func TestReloadAfterTheLastAccept(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	s, _ := start(t, c)
	talk(t, s, "a")
	s.acceptorList()[0].l.Stop()
	<-s.acceptorList()[0].ended
	eventually(t, "the server has stopped", s.hasStopped)
	c.Listeners[0].Address = address(t, "127.0.0.1:0?backlog=7")
	if _, err := tryReload(t, s, c); !errors.Is(err, ErrDraining) {
		t.Errorf("it can: %v", err)
	}
	killAll(t, s)
	<-s.Done()
}

// Who looks at a server during a reload sees the listeners of before or those that
// there will be, whole.
func TestReloadIsSeen(t *testing.T) {
	leak.Check(t)
	g := &gate{newLines(), "unsafe", make(chan struct{}), make(chan struct{})}
	c := echoing(t, "a")
	c.Log = slog.New(g)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(func() { release(); cut(t, s) })
	c.Listeners = append(c.Listeners, Listener{Name: "b", Address: address(t, "127.0.0.1:0"), Route: "a"})
	c.Upstreams = append(c.Upstreams, to("u", address(t, "tls://127.0.0.1:1?verify=insecure")))
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := s.Reload(t.Context(), c); err != nil {
			t.Errorf("reload: %v", err)
		}
	})
	<-g.reached // the new listener is the server's
	if list := s.Listeners(); len(list) != 2 || list[1].Name != "b" || list[1].Address != s.Addrs()[1] {
		t.Errorf("the listeners are %+v", list)
	}
	if list := s.Routes(); len(list) != 1 || !slices.Equal(list[0].Listeners, []string{"a", "b"}) {
		t.Errorf("the routes are %+v", list)
	}
	release()
	running.Wait()
}

// What an operator sets by hand while a reload is under way is set when it is over,
// also of an upstream that it changes.
func TestReloadKeepsWhatIsSetMeanwhile(t *testing.T) {
	leak.Check(t)
	g := &gate{newLines(), "unsafe", make(chan struct{}), make(chan struct{})}
	c := echoing(t, "a")
	c.Log = slog.New(g)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(func() { release(); cut(t, s) })
	c.Upstreams[0].Retry.Attempts = 7
	c.Upstreams = append(c.Upstreams, to("u", address(t, "tls://127.0.0.1:1?verify=insecure")))
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := s.Reload(t.Context(), c); err != nil {
			t.Errorf("reload: %v", err)
		}
	})
	<-g.reached // the new pool is open, and not the server's yet
	if err := s.Upstream("a").Set("echo:", upstream.Down); err != nil {
		t.Error(err)
	}
	release()
	running.Wait()
	if m := s.Upstreams()[0].Members[0]; m.State != upstream.Down {
		t.Errorf("after the reload the target is %v: %s", m.State, m.Why)
	}
}
