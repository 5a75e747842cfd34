package relay

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// Conns go where their listener sends them, and all that is said of them has the
// names.
func TestRoutes(t *testing.T) {
	leak.Check(t)
	one, two := listen(t), listen(t)
	any4 := address(t, "127.0.0.1:0")
	s, log := start(t, Config{
		Listeners: []Listener{{Name: "a", Address: any4, Route: "plain"}, {Name: "b", Address: any4, Route: "doubled"}, {Address: any4, Route: "plain"}},
		Routes: []Route{
			{Name: "plain", Upstream: "one"},
			{Name: "doubled", Upstream: "two", Up: transform.Chain{twice}},
		},
		Upstreams: []upstream.Config{
			{Name: "one", Targets: []upstream.Target{{Name: "first", Address: one.addr}}},
			to("two", two.addr),
		},
	})
	unnamed := s.Addrs()[2].String()
	for _, tt := range []struct {
		listener, route, pool, target, want string
		up                                  backend
	}{
		{"a", "plain", "one", "first", "x", one},
		{"b", "doubled", "two", two.addr.String(), "xx", two},
		{unnamed, "plain", "one", "first", "x", one},
	} {
		c := dial(t, at(t, s, tt.listener))
		up := tt.up.accept(t)
		send(t, c, "x")
		wantText(t, up, tt.want)
		// The one before may be on its way out.
		eventually(t, "it is the only one", func() bool { return len(s.Conns()) == 1 })
		i := s.Conns()[0]
		if i.Listener != tt.listener || i.Route != tt.route || i.Pool != tt.pool || i.Target != tt.target || i.Upstream != tt.up.addr.String() {
			t.Errorf("the conn is %+v", i)
		}
		for _, r := range s.Routes() {
			if (r.Name == tt.route) != (r.Conns == 1) {
				t.Errorf("route %s has %d conns", r.Name, r.Conns)
			}
		}
		finish(t, c)
		wantEOF(t, up)
		finish(t, up)
		wantEOF(t, c)
		end := log.wantEnd(t, EOF, Client)
		named := end["target"].String()
		if end["listener"].String() != tt.listener || end["route"].String() != tt.route || end["upstream"].String() != tt.up.addr.String() ||
			(named == "first") != (tt.target == "first") {
			t.Errorf("the line is %v", end)
		}
	}
	infos := s.Routes()
	if !slices.Equal(infos[0].Listeners, []string{"a", unnamed}) || !slices.Equal(infos[1].Listeners, []string{"b"}) {
		t.Errorf("the routes are %+v", infos)
	}
	if _, _, err := s.Chains("other"); !errors.Is(err, ErrNoRoute) {
		t.Errorf("of another route: %v", err)
	}
	if list := s.Upstreams(); len(list) != 2 || list[0].Name != "one" {
		t.Errorf("the upstreams are %+v", list)
	}
}

// Each route has its own timeouts, also those that a reload brings.
func TestTimeoutsOfRoutes(t *testing.T) {
	leak.Check(t)
	c := echoing(t, "a", "b")
	c.Routes[0].Timeouts.Idle, c.Routes[1].Timeouts.Idle = 80*time.Millisecond, time.Hour
	s, log := start(t, c)
	a, b := talk(t, s, "a"), talk(t, s, "b")
	wantReset(t, a)
	if end := log.wantEnd(t, Idle, Us); end["route"].String() != "a" {
		t.Errorf("the line is %v", end)
	}
	c.Routes[1].Timeouts.Idle = 20 * time.Millisecond
	reload(t, s, c)
	wantReset(t, talk(t, s, "b"))
	log.wantEnd(t, Idle, Us)
	send(t, b, "x") // it is of before
	wantText(t, b, "x")
}

// All that is wrong is said at once, by its name.
func TestPlanRefuses(t *testing.T) {
	echo, any4 := address(t, "echo:"), address(t, "127.0.0.1:0")

	for want, change := range map[string]func(c *Config){
		"not both":                            func(c *Config) { c.To = echo },
		"no address to listen on":             func(c *Config) { c.Listeners = nil },
		"upstream without a name":             func(c *Config) { c.Upstreams = append(c.Upstreams, to("", echo)) },
		`two upstreams are named "a"`:         func(c *Config) { c.Upstreams = append(c.Upstreams, to("a", echo)) },
		"route without a name":                func(c *Config) { c.Routes = append(c.Routes, Route{Upstream: "a"}) },
		`two routes are named "a"`:            func(c *Config) { c.Routes = append(c.Routes, c.Routes[0]) },
		`two listeners are named "a"`:         func(c *Config) { c.Listeners = append(c.Listeners, c.Listeners[0]) },
		`route "a": there is no upstream "b"`: func(c *Config) { c.Routes[0].Upstream = "b" },
		`listener "a": there is no route "b"`: func(c *Config) { c.Listeners[0].Route = "b" },
		`listener "a": it has no route`:       func(c *Config) { c.Listeners[0].Route = "" },
		`listener "a": a match has no route`:  func(c *Config) { c.Listeners[0].Match = []Match{{SNI: []string{"x"}}} },
		`"a.*" has a *`:                       func(c *Config) { c.Listeners[0].Match = []Match{{SNI: []string{"a.*"}, Route: "a"}} },
		`listener "a": a network is none`:     func(c *Config) { c.Listeners[0].Deny = append(c.Listeners[0].Deny, netip.Prefix{}) },
		`there is no version 4 of the PROXY`:  func(c *Config) { c.Routes[0].SendProxy = 4 },
		`route "a": on-remove 7 is none`:      func(c *Config) { c.Routes[0].OnRemove = 7 },
		"there is no upstream":                func(c *Config) { c.Upstreams[0].Name = "" },
		`listener "tcp://127.0.0.1:0": there`: func(c *Config) { c.Listeners[0] = Listener{Address: any4, Route: "b"} },
	} {
		c := echoing(t, "a")
		change(&c)
		s, err := Start(t.Context(), c)
		if s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// The kernel gives up later than the most patient of the routes.
func TestStall(t *testing.T) {
	p := &plan{
		routes: []Route{
			{Name: "a", Upstream: "x", Timeouts: Timeouts{WriteStall: 60e9}.complete()},
			{Name: "b", Upstream: "x", Timeouts: Timeouts{WriteStall: 90e9}.complete()},
			{Name: "c", Upstream: "y", Timeouts: Timeouts{WriteStall: -1}.complete()},
			{Name: "d", Upstream: "y", Timeouts: Timeouts{WriteStall: 60e9}.complete()},
		},
	}
	for name, want := range map[string]string{"x": "tcp://10.0.0.1:80?user_timeout=2m0s", "y": "tcp://10.0.0.1:80?user_timeout=off", "z": "tcp://10.0.0.1:80"} {
		p.upstreams = []upstream.Config{to(name, address(t, "10.0.0.1:80"))}
		if got := p.dialled(0).Targets[0].Address; got != must(socket.ParseAddress(want)) {
			t.Errorf("%s is dialled at %v, want %s", name, got, want)
		}
	}
}

func must(a socket.Address, err error) socket.Address {
	if err != nil {
		panic(err)
	}
	return a
}
