package relay

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) socket.Address {
	t.Helper()
	u := listen(t)
	u.ln.Close()
	return u.addr
}

// A target that refuses is not the end: another one is dialled, and the conn goes
// on wherever it would have been.
func TestNextTarget(t *testing.T) { eachPolicy(t, testNextTarget) }

func testNextTarget(t *testing.T, policy lifetime.Policy) {
	for _, up := range []transform.Chain{nil, {through}} {
		leak.Check(t)
		good := listen(t)
		c := echoing(t, "a")
		c.Upstreams[0] = to("a", closedPort(t), good.addr, closedPort(t))
		c.Routes[0].Up = up
		c.Policy = policy
		s, log := start(t, c)
		for range 6 {
			d := dial(t, s.Addrs()[0])
			b := good.accept(t)
			send(t, d, "x")
			wantText(t, b, "x")
			eventually(t, "it is the only one", func() bool { return len(s.Conns()) == 1 }) // the one before may be on its way out
			if i := s.Conns()[0]; i.Upstream != good.addr.String() || s.loops != nil && s.restless == nil && up == nil && !i.Loop {
				t.Errorf("the conn is %+v", i)
			}
			finish(t, d)
			wantEOF(t, b)
			finish(t, b)
			wantEOF(t, d)
			log.wantEnd(t, EOF, Client)
		}
		wantFree(t, s, "a")
	}
}

// listenFull returns an address that answers nobody: its backlog is full.
func listenFull(t *testing.T) socket.Address {
	t.Helper()
	l, err := socket.Listen(t.Context(), address(t, "127.0.0.1:0?backlog=1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Resource().BeginDrop() })
	a := l.Addr()
	a.Options = ""
	for {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), 100*time.Millisecond)
		if err != nil {
			return a
		}
		t.Cleanup(func() { c.Close() })
	}
}

// wantFree wants that no target of an upstream has a conn, and that only the
// configuration holds it.
func wantFree(t *testing.T, s *Server, name string) {
	t.Helper()
	p := s.setup.Load().pools[name]
	eventually(t, "nobody holds the pool", func() bool { return p.holders.Load() == 1 })
	for _, m := range p.Status().Members {
		if m.Conns != 0 {
			t.Errorf("a target has %d conns", m.Conns)
		}
	}
}

// When no target can be reached the conn ends as if there was one.
func TestNoTarget(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	c.Upstreams[0] = to("a", closedPort(t), closedPort(t))
	s, log := start(t, c)
	for range 3 {
		wantRefused(t, s.Addrs()[0])
		end := log.wantEnd(t, DialFailed, Upstream)
		if end["err"].String() == "" || end["upstream"].String() == "a" {
			t.Errorf("the line is %v", end)
		}
	}
	wantFree(t, s, "a")
}

// A target that does not answer leaves time for another one.
func TestNextTargetAfterATimeout(t *testing.T) {
	leak.Check(t)
	good, full := listen(t), listenFull(t)
	c := echoing(t, "a")
	c.Upstreams[0] = to("a", full, good.addr)
	c.Upstreams[0].Retry.Timeout = 50 * time.Millisecond
	s, log := start(t, c)
	for range 2 {
		d := dial(t, s.Addrs()[0])
		b := good.accept(t)
		send(t, d, "x")
		wantText(t, b, "x")
		reset(d)
		log.wantEnd(t, ResetClient, Client)
	}
	// The connect timeout is for all of them.
	c.Upstreams[0] = to("a", full, full)
	c.Upstreams[0].Targets[1].Name = "again"
	c.Upstreams[0].Retry.Timeout, c.Routes[0].Timeouts.Connect = time.Hour, 100*time.Millisecond
	reload(t, s, c)
	wantRefused(t, s.Addrs()[0])
	log.wantEnd(t, DialTimeout, Upstream)
}

// What has no room in the queue is reset.
func TestQueueFull(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	c.Upstreams[0].Targets[0].MaxConns = 1
	c.Upstreams[0].Queue.Max = -1
	s, log := start(t, c)
	first := talk(t, s, "a")
	wantRefused(t, s.Addrs()[0])
	if end := log.wantEnd(t, QueueFull, Us); end["upstream"].String() != "echo:" {
		t.Errorf("the line is %v", end)
	}
	finish(t, first)
	wantEOF(t, first)
	log.wantEnd(t, EOF, Client)
	talk(t, s, "a")
}

// Why there is no connection is told by its error.
func TestDialFailed(t *testing.T) {
	s := newServer(&Config{})
	for want, err := range map[Reason]error{
		NoUpstream:  fmt.Errorf("upstream a: %w", upstream.ErrDown),
		QueueFull:   fmt.Errorf("upstream a: %w", upstream.ErrFull),
		DialFailed:  errors.New("refused"),
		ResetClient: fmt.Errorf("dial: %w", socket.ErrPeerGone),
	} {
		c := bareConn(barePath(s, Timeouts{}))
		if err := connKind.Init(c, nil, lifetime.Refcount); err != nil {
			t.Fatal(err)
		}
		c.dialFailed(err)
		if c.reason != want {
			t.Errorf("%v is %v, want %v", err, c.reason, want)
		}
		c.node.BeginDrop()
	}
}

// The conns of a target that has gone down go on, are finished, or are reset; those
// of others go on.
func TestTargetDown(t *testing.T) { eachPolicy(t, testTargetDown) }

func testTargetDown(t *testing.T, policy lifetime.Policy) {
	for _, how := range []upstream.OnDown{upstream.Keep, upstream.FIN, upstream.Reset} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			leak.Check(t)
			c := echoing(t, "a", "b")
			c.Policy = policy
			c.Upstreams[0].OnDown = how
			s, log := start(t, c)
			a, b := talk(t, s, "a"), talk(t, s, "b")
			if err := s.Upstream("a").Set("echo:", upstream.Down); err != nil {
				t.Fatal(err)
			}
			switch how {
			case upstream.Keep:
				send(t, a, "x")
				wantText(t, a, "x")
			case upstream.FIN:
				wantEOF(t, a)
				finish(t, a)
				log.wantEnd(t, UpstreamDown, Us)
			case upstream.Reset:
				wantReset(t, a)
				log.wantEnd(t, UpstreamDown, Us)
			}
			send(t, b, "x")
			wantText(t, b, "x")
		})
	}
}

// Without a target that is up the client is reset, and told so in the log.
func TestNoUpstream(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a")
	s, log := start(t, c)
	if err := s.Upstream("a").Set("echo:", upstream.Down); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, s.Addrs()[0])
	log.wantEnd(t, NoUpstream, Upstream)
	// A reload that changes the upstream does not forget that.
	c.Upstreams[0].Queue.Max = 7
	if change := reload(t, s, c); len(change.Upstreams.Changed) != 1 {
		t.Errorf("the change is %+v", change)
	}
	wantRefused(t, s.Addrs()[0])
	log.wantEnd(t, NoUpstream, Upstream)
	if err := s.Upstream("a").Set("echo:", upstream.Up); err != nil {
		t.Fatal(err)
	}
	talk(t, s, "a")
	if s.Upstream("b") != nil {
		t.Error("there is an upstream of another name")
	}
}

// The upstream knows of conns that its target resets before it has said a word.
func TestTargetResets(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	c := echoing(t, "a")
	c.Upstreams[0] = to("a", u.addr)
	s, log := start(t, c)
	for _, answer := range []string{"", "x"} {
		d := dial(t, s.Addrs()[0])
		b := u.accept(t)
		// A reset that comes before the dial is seen to have succeeded is a dial that
		// failed, and another one follows.
		eventually(t, "it relays", func() bool {
			list := s.Conns()
			return len(list) == 1 && list[0].State == Open
		})
		if answer != "" {
			send(t, b, answer)
			wantText(t, d, answer)
		}
		reset(b)
		wantReset(t, d)
		log.wantEnd(t, ResetUpstream, Upstream)
	}
	if n := s.Upstreams()[0].Members[0].Resets; n != 1 {
		t.Errorf("%d resets are known, want the one", n)
	}
}

// A kill that reaches the client's socket before the conn is no reset of the client's.
func TestKillReachesTheClientFirst(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: listenFull(t), Timeouts: Timeouts{Connect: -1}})
	c := dial(t, s.Addrs()[0])
	eventually(t, "a conn dials", func() bool { return s.Live() == 1 && s.Conns()[0].State == Dialling })
	found := s.find(onlyConn(t, s))
	eventually(t, "its client has a socket", func() bool { return found.bits.Load()&opened != 0 })
	if _, err := found.client.Shutdown(t.Context(), ending(Killed)); err != nil { // as Kill does, beside the conn
		t.Error(err)
	}
	found.dialFailed(socket.ErrPeerGone) // as the loop says, if it is not too late to see it
	found.end(Killed)
	log.wantEnd(t, Killed, Us)
	wantReset(t, c)
}
