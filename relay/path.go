package relay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/transform"
)

// A path is what conns go through that come in at one listener and take one
// route. It does not change: an edit or a reload makes another one, for the conns
// that come then.
type path struct {
	s        *Server
	entry    *entry
	route    *route
	up, down transform.Chain
	target   *upstream.Member // where it ends; nil for any, or none yet
	branches *branches
}

// branches are what one path is as far as each target: a conn, of which there are
// many, then needs no pointer to its target.
type branches struct {
	trunk *path
	mu    sync.Mutex
	to    atomic.Pointer[map[*upstream.Member]*path] // replaced, never changed
}

// maxBranches bounds what is kept for targets that may be long gone.
const maxBranches = 1024

// toTarget returns the path as far as a target.
func (p *path) toTarget(m *upstream.Member) *path {
	b := p.branches
	if to := b.to.Load(); to != nil && (*to)[m] != nil {
		return (*to)[m]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := make(map[*upstream.Member]*path)
	if to := b.to.Load(); to != nil && len(*to) < maxBranches {
		maps.Copy(next, *to)
	}
	if next[m] == nil {
		t := *b.trunk
		t.target = m
		next[m] = &t
	}
	b.to.Store(&next)
	return next[m]
}

// A route is one that conns take, or the one of those that have none yet.
type route struct {
	Route // its timeouts are complete
	at    socket.At
	pool  *pool // nil: none is chosen yet
	// chains are those of conns that come now; see Server.EditChains.
	chains  atomic.Pointer[[2]transform.Chain]
	removed atomic.Bool // by a reload
}

// newRoute returns a route to a pool, which it does not hold.
func (s *Server) newRoute(r Route, to *pool) *route {
	n := &route{Route: r, pool: to}
	n.at = socket.At{Policy: s.Policy, Linger: r.Timeouts.Linger, MaxLinger: r.Timeouts.MaxLinger}
	n.chains.Store(&[2]transform.Chain{r.Up, r.Down})
	return n
}

// path returns the one of a listener along a route.
func (e *entry) along(r *route) *path {
	chains := r.chains.Load()
	p := &path{s: e.a.s, entry: e, route: r, up: chains[0], down: chains[1], branches: new(branches)}
	p.branches.trunk = p
	return p
}

// chosen reports whether it is known where the conn goes.
func (p *path) chosen() bool { return p.route.pool != nil }

// ErrNoRoute is that there is no route of that name.
var ErrNoRoute = errors.New("no such route")

// noRoute names the route that there is not.
func noRouteNamed(name string) error { return fmt.Errorf("route %q: %w", name, ErrNoRoute) }

// An Edit is given the chains that are, which it leaves alone, and returns those
// that are to be. It must not wait. If it fails nothing changes, and its error is
// passed on.
type Edit func(up, down transform.Chain) (newUp, newDown transform.Chain, err error)

// Chains returns the stages that conns go through that take a route now. The error
// is [ErrNoRoute].
func (s *Server) Chains(route string) (up, down transform.Chain, err error) {
	r := s.setup.Load().routes[route]
	if r == nil {
		return nil, nil, noRouteNamed(route)
	}
	chains := r.chains.Load()
	return chains[0], chains[1], nil
}

// EditChains changes the stages that conns go through that take a route from now
// on. Those that live go on as they are: see [Server.EditConn]. A reload that does
// not change the route leaves its stages as they were edited.
func (s *Server) EditChains(route string, edit Edit) (up, down transform.Chain, err error) {
	s.changing <- struct{}{}
	defer func() { <-s.changing }()
	now := s.setup.Load()
	r := now.routes[route]
	if r == nil {
		return nil, nil, noRouteNamed(route)
	}
	old := r.chains.Load()
	if up, down, err = edit(old[0], old[1]); err == nil {
		err = CheckChains(up, down)
	}
	if err != nil {
		return nil, nil, err
	}
	r.chains.Store(&[2]transform.Chain{up, down})
	for _, a := range s.acceptorList() {
		e := a.entry.Load()
		a.entry.Store(a.newEntry(e.Listener, now, e))
	}
	return up, down, nil
}

// A RouteInfo is a route as it is now.
type RouteInfo struct {
	Name      string
	Listeners []string // by name, whose conns may take it
	Upstream  string   // by name
	To        string   // the address of its one target, or the upstream's name
	Up, Down  transform.Chain
	Conns     int // that live, and take it or did before a reload
}

// Routes describes all routes, in the order of the configuration.
func (s *Server) Routes() []RouteInfo {
	now := s.setup.Load()
	list := make([]RouteInfo, len(now.plan.routes))
	at := make(map[string]int)
	for i := range list {
		r := now.routes[now.plan.routes[i].Name]
		chains := r.chains.Load()
		list[i] = RouteInfo{Name: r.Name, Upstream: r.Upstream, To: r.pool.label, Up: chains[0], Down: chains[1]}
		at[r.Name] = i
	}
	for _, a := range s.acceptorList() {
		e := a.entry.Load()
		names := e.Listener.routes()
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if i, ok := at[name]; ok {
				list[i].Listeners = append(list[i].Listeners, e.Name)
			}
		}
	}
	for _, c := range connKind.Below(&s.node) {
		if i, ok := at[c.path.Load().route.Name]; ok {
			list[i].Conns++
		}
	}
	return list
}
