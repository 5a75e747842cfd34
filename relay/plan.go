package relay

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"relayd/relay/upstream"
	"relayd/socket"
)

// A plan is a Config in its general form, checked and with its defaults. The
// names of listeners that go by their address are still empty.
type plan struct {
	listeners []Listener
	routes    []Route
	upstreams []upstream.Config
	limits    Limits
	timeouts  Timeouts // of who has no route
}

// The defaults of Listener.PrefaceTimeout: a handshake takes round trips, and
// packets that are lost take seconds.
const (
	defaultPreface   = 3 * time.Second
	defaultHandshake = 10 * time.Second
)

// errNoListener is what a configuration without one comes to.
var errNoListener = errors.New("relay: no address to listen on")

// plan returns the general form of c, or all that is wrong with it.
func (c *Config) plan() (*plan, error) {
	p := &plan{listeners: c.Listeners, routes: c.Routes, upstreams: c.Upstreams, limits: c.Limits, timeouts: c.Timeouts.complete()}
	switch general := len(c.Listeners)+len(c.Routes)+len(c.Upstreams) > 0; {
	case general && c.isPlain():
		return nil, errors.New("relay: a configuration has Listeners, Routes and Upstreams, or Listen, To, Up and Down, not both")
	case general:
	case len(c.Listen) == 0:
		return nil, errNoListener
	default:
		p.addPlain(c)
	}
	if len(p.listeners) == 0 {
		return nil, errNoListener
	}
	p.listeners, p.routes = slices.Clone(p.listeners), slices.Clone(p.routes)
	for i := range p.routes {
		p.routes[i].Timeouts = p.routes[i].Timeouts.complete()
	}
	return p, p.check()
}

// isPlain reports whether c has something of the plain form that the general one
// has not.
func (c *Config) isPlain() bool {
	var none Config
	return len(c.Listen)+len(c.Up)+len(c.Down) > 0 || c.To != none.To
}

// addPlain makes the general form of the plain one. Its dial is not repeated: one
// target that cannot be reached is not better reached at once again.
func (p *plan) addPlain(c *Config) {
	for _, a := range c.Listen {
		p.listeners = append(p.listeners, Listener{Address: a, Route: DefaultName})
	}
	p.routes = []Route{{Name: DefaultName, Upstream: DefaultName, Up: c.Up, Down: c.Down, Timeouts: c.Timeouts}}
	p.upstreams = []upstream.Config{{
		Name: DefaultName, Targets: []upstream.Target{{Address: c.To}}, Retry: upstream.Retry{Attempts: -1},
	}}
}

// check returns all that is wrong with the names.
func (p *plan) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("relay: "+format, args...)) }
	upstreams, routes, listeners := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	take := func(kind, name string, of map[string]bool) {
		switch {
		case name == "":
			bad("%s without a name: give it one", kind)
		case of[name]:
			bad("two %ss are named %q: give one of them another name", kind, name)
		}
		of[name] = true
	}
	for _, u := range p.upstreams {
		take("upstream", u.Name, upstreams)
	}
	for _, r := range p.routes {
		take("route", r.Name, routes)
		switch {
		case !upstreams[r.Upstream]:
			bad("route %q: there is no upstream %q", r.Name, r.Upstream)
		case r.OnRemove > KillConns:
			bad("route %q: on-remove %d is none", r.Name, r.OnRemove)
		case r.SendProxy > ProxyV2TLV:
			bad("route %q: there is no version %d of the PROXY header", r.Name, r.SendProxy)
		}
		if err := CheckChains(r.Up, r.Down); err != nil {
			bad("route %q: %w", r.Name, err)
		}
	}
	if math.IsNaN(p.limits.AcceptRate) {
		bad("the accept rate is not a number")
	}
	for i := range p.listeners {
		l := &p.listeners[i]
		if l.Name != "" {
			take("listener", l.Name, listeners)
		}
		for _, why := range l.faults(routes) {
			bad("listener %q: %s", l.title(), why)
		}
	}
	return errors.Join(errs...)
}

// title is what a listener goes by as long as its port is not known.
func (l *Listener) title() string {
	if l.Name != "" {
		return l.Name
	}
	return l.Address.String()
}

// faults returns what is wrong with a listener.
func (l *Listener) faults(routes map[string]bool) (list []string) {
	for _, name := range l.routes() {
		if !routes[name] {
			list = append(list, fmt.Sprintf("there is no route %q", name))
		}
	}
	if l.Route == "" && len(l.Match) == 0 {
		list = append(list, "it has no route, and no match: name one")
	}
	for _, m := range l.Match {
		if m.Route == "" {
			list = append(list, "a match has no route")
		}
		if err := m.condition().Check(); err != nil {
			list = append(list, err.Error())
		}
	}
	for _, p := range slices.Concat(l.Allow, l.Deny, l.ProxyFrom) {
		if !p.IsValid() {
			list = append(list, "a network is none: write 10.0.0.0/8, fd00::/8, or an address")
		}
	}
	if math.IsNaN(l.AcceptRate) {
		list = append(list, "its accept rate is not a number")
	}
	return list
}

// routes returns the names of all routes that conns of a listener may take.
func (l *Listener) routes() (names []string) {
	if l.Route != "" {
		names = append(names, l.Route)
	}
	for _, m := range l.Match {
		if m.Route != "" {
			names = append(names, m.Route)
		}
	}
	return names
}

// opens reports whether something may have to be read from a conn before it is
// known where it goes.
func (l *Listener) opens() bool { return len(l.ProxyFrom) > 0 || len(l.Match) > 0 || l.tls() }

// tls reports whether the address is one of TLS.
func (l *Listener) tls() bool { return l.Address.Kind == socket.TLS }

// prefaceTimeout returns PrefaceTimeout with its default.
func (l *Listener) prefaceTimeout() time.Duration {
	switch {
	case l.PrefaceTimeout != 0:
		return l.PrefaceTimeout
	case l.tls():
		return defaultHandshake
	}
	return defaultPreface
}

// stall returns the longest time that bytes may wait to be written, on the routes
// that f is true for; negative if there is one without a bound. The kernel must
// not give up before.
func (p *plan) stall(f func(*Route) bool) Timeouts {
	t := Timeouts{}
	for i := range p.routes {
		switch r := &p.routes[i]; {
		case !f(r) || t.WriteStall < 0:
		case r.Timeouts.WriteStall < 0:
			t.WriteStall = -1
		default:
			t.WriteStall = max(t.WriteStall, r.Timeouts.WriteStall)
		}
	}
	return t.complete()
}

// dialled returns the upstream i as it is to be dialled.
func (p *plan) dialled(i int) upstream.Config {
	u := p.upstreams[i]
	t := p.stall(func(r *Route) bool { return r.Upstream == u.Name })
	u.Targets = slices.Clone(u.Targets)
	for i := range u.Targets {
		u.Targets[i].Address = t.onto(u.Targets[i].Address)
	}
	return u
}

// same reports whether two routes do the same with a conn.
func (r *Route) same(o *Route) bool {
	return r.Name == o.Name && r.Upstream == o.Upstream && r.Up.Same(o.Up) && r.Down.Same(o.Down) &&
		r.Timeouts == o.Timeouts && r.SendProxy == o.SendProxy && r.OnRemove == o.OnRemove
}

// contains reports whether one of the networks has an address. No network has
// the zero Addr.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}
