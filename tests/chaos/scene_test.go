package chaos

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"relayd/relay"
	"relayd/relay/upstream"
)

// A group is the houses of one upstream, which are all alike.
type group struct {
	name               string
	unix, tls, through bool // through: the TLS is the clients'
	proxy              relay.ProxyVersion
	at                 []string // the houses, as the cast has opened them
}

// Names that clients ask for, and that the certificate has.
var serverNames = []string{"a.test", "x.b.test", "c.test", "nobody.test"}

// drawGroups draws what the relay is to dial, and returns what the cast is to open.
// A plain episode has one group with one house.
func (e *episode) drawGroups() (houses []house) {
	r := e.random
	e.groups = []group{{name: relay.DefaultName}}
	if !e.plain {
		e.groups = []group{{name: "a"}, {name: "b"}, {name: "c", through: true}}
	}
	for i := range e.groups {
		g := &e.groups[i]
		n := 1
		if !e.plain {
			n += r.IntN(3)
			g.proxy = relay.ProxyVersion(max(0, r.IntN(6)-2))
		}
		if !e.plain && !g.through {
			g.unix, g.tls = r.IntN(4) == 0, r.IntN(3) == 0
			g.tls = g.tls && !g.unix
		}
		for j := range n {
			h := house{Group: i, TLS: g.tls, Through: g.through, Proxy: g.proxy != relay.NoProxy}
			if g.unix {
				h.Path = filepath.Join(e.dir, fmt.Sprintf("house%d%d", i, j))
			}
			houses = append(houses, h)
		}
	}
	return houses
}

// furnish tells the groups where their houses are.
func (e *episode) furnish(houses []house, at []string) {
	for i, h := range houses {
		g := &e.groups[h.Group]
		g.at = append(g.at, at[i])
	}
}

// address is how the relay dials a house of the group.
func (g *group) address(at, certificate, options string) string {
	switch {
	case g.unix:
		return "unix://" + at
	case g.tls:
		return "tls://" + at + "?ca=" + certificate + "&sni=" + serverNames[0] + options
	case options != "":
		return "tcp://" + at + "?" + options[1:]
	}
	return "tcp://" + at
}

// drawGeneral draws routes to all groups, and listeners for them: one of them, with
// its own route, comes and goes.
func (e *episode) drawGeneral(c *relay.Config, options string) {
	r := e.random
	for i := range e.groups {
		g := &e.groups[i]
		c.Upstreams = append(c.Upstreams, e.upstream(g, options))
		c.Routes = append(c.Routes, relay.Route{
			Name: g.name, Upstream: g.name, Up: e.chain(), Down: e.chain(), Timeouts: c.Timeouts, SendProxy: g.proxy,
		})
	}
	gate := c.Routes[0]
	gate.Name, gate.OnRemove, gate.Timeouts.Drain = gateName, relay.OnRemove(r.IntN(3)), 200*time.Millisecond
	c.Routes = append(c.Routes, gate)
	for n := range 2 + r.IntN(3) {
		e.addListener(c, n, fmt.Sprintf("in%d", n), options)
	}
	e.addListener(c, r.IntN(3), gateName, options)
	if r.IntN(4) == 0 {
		c.Limits.MaxPerSource = 3 + r.IntN(4)
	}
}

// gateName is that of the listener, and of the route, that come and go.
const gateName = "gate"

// upstream draws the upstream of a group.
func (e *episode) upstream(g *group, options string) upstream.Config {
	r := e.random
	u := upstream.Config{
		Name: g.name, Balance: upstream.Balance(r.IntN(5)), OnDown: upstream.OnDown(r.IntN(3)),
		Retry: upstream.Retry{Attempts: 1 + r.IntN(4), Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		Eject: upstream.Eject{Fails: 1 + r.IntN(5), Time: 100 * time.Millisecond, Max: 400 * time.Millisecond,
			MaxPercent: 50 * (1 + r.IntN(2)), Resets: r.IntN(2) == 0},
		Queue: upstream.Queue{Max: 1 + r.IntN(20), Timeout: 300 * time.Millisecond},
	}
	for i, at := range g.at {
		t := upstream.Target{Name: fmt.Sprint("t", i), Address: parseAddress(g.address(at, e.certificate, options)), Weight: 1 + r.IntN(3)}
		if r.IntN(4) == 0 {
			t.MaxConns = 3 + r.IntN(10)
		}
		u.Targets = append(u.Targets, t)
	}
	if r.IntN(2) == 0 {
		u.Check = upstream.Check{On: true, Every: time.Duration(50+r.IntN(100)) * time.Millisecond, Timeout: 500 * time.Millisecond,
			Rise: 1 + r.IntN(2), Fall: 1 + r.IntN(3)}
		if g.proxy == relay.NoProxy && !g.through && r.IntN(2) == 0 {
			u.Check.Send, u.Check.Expect = checkAsks, checkWishes
		}
	}
	if r.IntN(3) == 0 {
		u.SlowStart = 300 * time.Millisecond
	}
	if !g.unix && !g.tls && r.IntN(4) == 0 {
		u.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.8"), netip.MustParseAddr("127.0.0.9")}
	}
	return u
}

// addListener adds one of a kind, which has what no other has if there are all, and
// the entrance for clients, without its address.
func (e *episode) addListener(c *relay.Config, kind int, name, options string) {
	r := e.random
	l := relay.Listener{Name: name, Route: []string{"a", "b"}[r.IntN(2)], PrefaceTimeout: time.Second}
	host := "127.0.0.1:0"
	if name == gateName {
		l.Route, host = gateName, gateAddress(r)
	}
	in := entrance{Proxy: r.IntN(3) == 0, Gate: name == gateName, Ways: []way{{Group: e.groupOf(l.Route)}}}
	switch kind {
	case 0: // TLS ends here
		in.TLS = true
		l.Address = parseAddress("tls://" + host + "?cert=" + e.certificate + options)
		in.Ways[0].Name = "nobody.test"
		if name != gateName {
			l.Match = []relay.Match{{SNI: []string{"a.test"}, Route: "a"}, {SNI: []string{"*.b.test"}, Route: "b"}}
			in.Ways = append(in.Ways, way{Name: "a.test", Group: 0}, way{Name: "x.b.test", Group: 1})
			if r.IntN(2) == 0 {
				l.Route, in.Ways[0].Group = "", -1
			}
		}
	case 1:
		in.Unix, in.At = true, filepath.Join(e.dir, name)
		l.Address = parseAddress("unix://" + in.At)
	case 2: // TLS goes through
		l.Address = parseAddress("tcp://" + host + asQuery(options))
		if name != gateName {
			l.Match = []relay.Match{{SNI: []string{"c.test"}, Route: "c"}}
			in.Ways = append(in.Ways, way{Name: "c.test", Through: true, Group: 2}, way{Name: "c.test", Through: true, Group: 2})
		}
	default:
		l.Address = parseAddress("tcp://" + host + asQuery(options))
	}
	if in.Proxy {
		l.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		if r.IntN(2) == 0 {
			l.MaxPerSource = 1 + r.IntN(3)
		}
		if r.IntN(2) == 0 {
			l.Deny = []netip.Prefix{netip.PrefixFrom(namedSource(7, 0), 48)}
		}
	}
	if r.IntN(4) == 0 {
		l.MaxConns = 5 + r.IntN(20)
	}
	if r.IntN(5) == 0 {
		l.AcceptRate = 50 + float64(r.IntN(100))
	}
	c.Listeners = append(c.Listeners, l)
	e.entrances = append(e.entrances, in)
}

// gateAddress returns an address that nobody else takes while the gate is away: no
// client and no dial of the relay's is from this host, and the port is not one that
// the system chooses for who asks for any.
func gateAddress(r *rand.Rand) string {
	for {
		at := fmt.Sprint("127.0.0.3:", 10_000+r.IntN(20_000))
		if ln, err := net.Listen("tcp", at); err == nil {
			ln.Close()
			return at
		}
	}
}

func asQuery(options string) string {
	if options == "" {
		return ""
	}
	return "?" + options[1:]
}

// groupOf returns the group that a route leads to.
func (e *episode) groupOf(route string) int {
	for i := range e.groups {
		if e.groups[i].name == route {
			return i
		}
	}
	return 0 // as the gate's does
}
