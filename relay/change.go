package relay

import (
	"context"
	"fmt"
	"slices"
)

// A diff finds out what a reload has changed, by names.
type diff struct {
	to   *Changes
	seen map[string]bool
}

func (n *next) diff(to *Changes, before int) *diff {
	return &diff{to: to, seen: make(map[string]bool, before)}
}

// add notes what there is, and whether it was there before, and the same. It
// returns that.
func (d *diff) add(name string, was, same bool) bool {
	d.seen[name] = true
	switch {
	case !was:
		d.to.Added = append(d.to.Added, name)
	case same:
		d.to.Kept = append(d.to.Kept, name)
	default:
		d.to.Changed = append(d.to.Changed, name)
	}
	return same
}

// remove notes what there was, after all that there is.
func (d *diff) remove(name string) {
	if !d.seen[name] {
		d.to.Removed = append(d.to.Removed, name)
	}
}

// same reports whether two entries do the same with a connection, at the same
// address.
func (e *entry) same(o *entry) bool {
	return e.a == o.a && e.Route == o.Route && slices.EqualFunc(e.Match, o.Match, Match.same) &&
		slices.Equal(e.Allow, o.Allow) && slices.Equal(e.Deny, o.Deny) && slices.Equal(e.ProxyFrom, o.ProxyFrom) &&
		e.MaxConns == o.MaxConns && e.MaxPerSource == o.MaxPerSource && e.AcceptRate == o.AcceptRate &&
		e.PrefaceTimeout == o.PrefaceTimeout
}

func (m Match) same(o Match) bool {
	return slices.Equal(m.SNI, o.SNI) && slices.Equal(m.ALPN, o.ALPN) && m.Route == o.Route
}

// None reports whether a reload has changed nothing.
func (c *Change) None() bool { return c.Listeners.none() && c.Routes.none() && c.Upstreams.none() }

func (c *Changes) none() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// Compare returns what Reload would change, and changes and opens nothing: whether
// what is new can be opened is not known. Its errors are Reload's of what is wrong
// with c.
func (s *Server) Compare(ctx context.Context, c Config) (Change, error) {
	c.seams = s.seams
	p, err := c.plan()
	if err != nil {
		return Change{}, err
	}
	if err := s.allows(&c); err != nil {
		return Change{}, err
	}
	select {
	case s.changing <- struct{}{}:
		defer func() { <-s.changing }()
	case <-ctx.Done():
		return Change{}, fmt.Errorf("relay: a reload is under way: %w", context.Cause(ctx))
	}
	n := &next{s: s, old: s.setup.Load(), setup: &setup{
		plan: p, routes: make(map[string]*route), pools: make(map[string]*pool), unrouted: s.newRoute(Route{}, nil),
	}}
	d := n.diff(&n.change.Upstreams, len(n.old.pools))
	for i, u := range p.upstreams {
		before := n.old.pools[u.Name]
		d.add(u.Name, before != nil, before != nil && before.config.Equal(p.dialled(i)))
	}
	for _, u := range n.old.plan.upstreams {
		d.remove(u.Name)
	}
	n.addRoutes()
	now := s.acceptorList()
	n.accepts = handOver(now, p.listeners)
	for i, a := range n.accepts {
		if a == nil { // it would be opened
			l := &p.listeners[i]
			n.accepts[i] = &acceptor{s: s, given: l.Address, at: l.Address.String()}
		}
	}
	n.compareListeners(now)
	return n.change, nil
}
