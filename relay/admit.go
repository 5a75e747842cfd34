package relay

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A refusal is why a connection becomes no conn.
type refusal uint8

const (
	admitted refusal = iota
	isDraining
	isDenied
	hasMaxConns
	hasMaxPerSource
	hasAcceptRate
	hasNoRoute
	refusalCount
)

var refusals = [...]string{"", "draining", "denied", "max-conns", "max-per-source", "accept-rate", "no-route"}

// A visit is a connection that may become a conn.
type visit struct {
	entry  *entry
	path   *path
	from   string
	source netip.Addr // only if it matters
	bits   uint32     // where it is counted by its source
}

// The bounds of the whole server.
type limits struct {
	Limits
	limiter *rate.Limiter
}

// newLimits returns those of l. before are the last, or nil.
func newLimits(l Limits, before *limits) *limits {
	n := &limits{Limits: l}
	if before != nil && before.AcceptRate == l.AcceptRate {
		n.limiter = before.limiter
	} else {
		n.limiter = newLimiter(l.AcceptRate)
	}
	return n
}

// admit decides whether a connection becomes a conn, which is then counted and
// holds its pool: until leave.
func (a *acceptor) admit(v *visit) refusal {
	for {
		e, all := a.entry.Load(), a.s.limits.Load()
		v.entry, v.path, v.bits = e, e.path, 0
		trusted := false
		if e.sourced || all.MaxPerSource > 0 {
			v.source = sourceOf(v.from)
			trusted = e.trusts(v.source)
		}
		if e.hellos || trusted {
			v.path = e.opening
		}
		switch {
		case !trusted && e.denies(v.source):
			return isDenied
		case v.path == nil:
			return hasNoRoute
		}
		if why := a.count(v, all, trusted); why != admitted {
			return why
		}
		if !v.path.chosen() || v.path.route.pool.hold() {
			return admitted
		}
		a.uncount(v.bits, v.source)
		select {
		case <-a.s.node.Done(): // as are the pools
			return isDraining
		default: // the entry was replaced
		}
	}
}

// count counts a visit, if there is room: by its source, at the listener, and at the
// server, in this order, so that what is refused by one of them takes nothing of what
// more share. So rates that have no room are seen before the server has counted.
func (a *acceptor) count(v *visit, all *limits, trusted bool) refusal {
	if !trusted {
		bits, ok := a.countSource(v.source, v.entry.MaxPerSource, all.MaxPerSource)
		if !ok {
			return hasMaxPerSource
		}
		v.bits = bits
	}
	if !addBelow(&a.live, v.entry.MaxConns) {
		a.uncountSource(v.bits, v.source)
		return hasMaxConns
	}
	if !hasToken(v.entry.limiter) || !hasToken(all.limiter) {
		a.uncountHere(v.bits, v.source)
		return hasAcceptRate
	}
	if !addBelow(&a.s.live, all.MaxConns) {
		a.uncountHere(v.bits, v.source)
		return hasMaxConns
	}
	if !inRate(v.entry.limiter, all.limiter) {
		a.uncount(v.bits, v.source)
		return hasAcceptRate
	}
	return admitted
}

// inRate takes room of the rates of a listener and of the server, and reports whether
// there was any; nil has. Both had some just now, so that what one refuses takes nothing
// of the other's, but for loops that come to the last room at the same moment.
func inRate(here, everywhere *rate.Limiter) bool {
	return (everywhere == nil || everywhere.Allow()) && (here == nil || here.Allow())
}

// hasToken reports whether a rate has room for one more just now.
func hasToken(l *rate.Limiter) bool { return l == nil || l.Tokens() >= 1 }

// countSource counts a conn by its source, at the listener and at the server. It
// reports where, in bits of the conn's word, or that there are too many.
func (a *acceptor) countSource(source netip.Addr, here, everywhere int) (bits uint32, ok bool) {
	if !source.IsValid() {
		return 0, true
	}
	if here > 0 {
		if !a.sources.add(source, here) {
			return 0, false
		}
		bits |= countedHere
	}
	if everywhere > 0 {
		if !a.s.sources.add(source, everywhere) {
			a.uncountSource(bits, source)
			return 0, false
		}
		bits |= countedEverywhere
	}
	return bits, true
}

func (a *acceptor) uncountSource(bits uint32, source netip.Addr) {
	if bits&countedHere != 0 {
		a.sources.remove(source)
	}
	if bits&countedEverywhere != 0 {
		a.s.sources.remove(source)
	}
}

// uncount undoes count.
func (a *acceptor) uncount(bits uint32, source netip.Addr) {
	a.uncountHere(bits, source)
	a.s.live.Add(-1)
}

// uncountHere is uncount of a visit that the server has not counted yet.
func (a *acceptor) uncountHere(bits uint32, source netip.Addr) {
	a.uncountSource(bits, source)
	a.live.Add(-1)
}

// leave undoes admit when a conn ends, or does not begin.
func (p *path) leave(bits uint32, source netip.Addr) {
	p.entry.a.uncount(bits, source)
	if p.chosen() {
		p.route.pool.release()
	}
}

// addBelow adds one, unless that is more than max, which is none if it is not
// positive. Nobody sees one more that is not to stay.
func addBelow(n *atomic.Int64, max int) bool {
	for {
		was := n.Load()
		if was >= int64(max) && max > 0 {
			return false
		}
		if n.CompareAndSwap(was, was+1) {
			return true
		}
	}
}

// sourceOf returns the address in a peer's, the zero Addr if it has none.
func sourceOf(peer string) netip.Addr {
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// sources count conns by where they come from. It has those that there are conns
// of, and so is not larger than they are many.
type sources struct {
	mu   sync.Mutex
	live map[netip.Addr]int
}

// sourceBits is how much of an IPv6 address tells one source from another: a
// single customer has that many addresses.
const sourceBits = 64

// key is what a source is counted as.
func (t *sources) key(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(sourceBits)
		return p.Addr()
	}
	return a
}

// add counts one more, unless there are max.
func (t *sources) add(a netip.Addr, max int) bool {
	a = t.key(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil {
		t.live = make(map[netip.Addr]int)
	}
	if t.live[a] >= max {
		return false
	}
	t.live[a]++
	return true
}

func (t *sources) remove(a netip.Addr) {
	a = t.key(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live[a]--; t.live[a] <= 0 {
		delete(t.live, a)
	}
}

// A refused counts the connections that were refused for one reason, since it was
// last said.
type refused struct {
	n    atomic.Int64
	said time.Time // the acceptor's lock is held
}

// sayRefusedEvery is how often refusals are said, of each listener and reason.
const sayRefusedEvery = time.Second

// refuse counts a connection that becomes no conn.
func (a *acceptor) refuse(why refusal) {
	a.s.ledger.refused[why].Add(1)
	a.refused[why].n.Add(1)
}

// sayRefused has a line written for each reason for which connections were
// refused; all that there is to say if this is the last time.
func (a *acceptor) sayRefused(now time.Time, last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for why := range a.refused {
		r := &a.refused[why]
		if r.n.Load() == 0 || !last && now.Sub(r.said) < sayRefusedEvery {
			continue
		}
		r.said = now
		a.s.book.add(line{s: a.s, event: wasRefused, refused: &refusedLine{
			listener: a.name(), reason: refusals[why], n: r.n.Swap(0),
		}})
	}
}

// A refusedLine is what the log is told of connections that were refused.
type refusedLine struct {
	listener, reason string
	n                int64
}

func (r *refusedLine) log(to *slog.Logger) {
	to.Warn("connections refused", "listener", r.listener, "reason", r.reason, "times", r.n)
}
