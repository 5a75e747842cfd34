package relay

import (
	"cmp"
	"math"
	"net/netip"

	"golang.org/x/time/rate"

	"relayd/relay/preface"
	"relayd/socket"
)

// An entry is how an acceptor treats connections: its part of the configuration,
// worked out. It does not change, but is replaced.
type entry struct {
	Listener // its name is never empty
	a        *acceptor
	limiter  *rate.Limiter // nil: no bound
	path     *path         // of those that no Match takes; nil: refused
	opening  *path         // of those that have a preface, until it is read
	sourced  bool          // it matters where connections come from
	hellos   bool          // all of them begin with a ClientHello
}

// newEntry returns one for l among the routes of now. before is the last one, or
// nil: what was counted for it goes on.
func (a *acceptor) newEntry(l Listener, now *setup, before *entry) *entry {
	e := &entry{Listener: l, a: a}
	e.Name = cmp.Or(l.Name, a.at)
	e.Allow, e.Deny, e.ProxyFrom = unmapped(l.Allow), unmapped(l.Deny), unmapped(l.ProxyFrom)
	if before != nil && before.AcceptRate == l.AcceptRate {
		e.limiter = before.limiter
	} else {
		e.limiter = newLimiter(l.AcceptRate)
	}
	e.hellos = len(l.Match) > 0 || l.tls()
	e.sourced = len(l.Allow)+len(l.Deny)+len(l.ProxyFrom) > 0 || l.MaxPerSource > 0
	if r := now.routes[l.Route]; r != nil {
		e.path = e.along(r)
	}
	if l.opens() {
		e.opening = &path{s: a.s, entry: e, route: now.unrouted}
	}
	return e
}

// newLimiter returns one for so many a second, or nil.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(math.Ceil(min(perSecond, math.MaxInt32))))
}

// unmapped returns networks with those of IPv4 addresses written as IPv6 ones as
// what they are.
func unmapped(list []netip.Prefix) []netip.Prefix {
	const before = 96 // bits of ::ffff:0:0
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		if p.Addr().Is4In6() && p.Bits() >= before {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-before)
		}
		out[i] = p.Masked()
	}
	return out
}

// trusts reports whether a connection begins with a PROXY header.
func (e *entry) trusts(source netip.Addr) bool {
	if source.IsValid() {
		return contains(e.ProxyFrom, source)
	}
	return len(e.ProxyFrom) > 0 && e.Address.Kind != socket.TCP
}

// denies reports whether a source may not connect.
func (e *entry) denies(source netip.Addr) bool {
	return contains(e.Deny, source) || len(e.Allow) > 0 && !contains(e.Allow, source)
}

// choose returns the name of the route for what a client has said; "" if there is
// none.
func (e *entry) choose(h preface.Hello) string {
	for _, m := range e.Match {
		if m.condition().Fits(h) {
			return m.Route
		}
	}
	return e.Route
}

// condition returns what a ClientHello is to have.
func (m *Match) condition() preface.Match { return preface.Match{SNI: m.SNI, ALPN: m.ALPN} }
