package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"relayd/socket"
)

// ErrDraining is that a server accepts no more, and cannot be changed.
var ErrDraining = errors.New("relay: the server is draining")

// Reload makes the server relay what c says from now on. It changes what is
// different and nothing else, and all of it or, if it returns an error, nothing:
//
//  1. c is checked, and what is new is opened: upstreams, then listeners
//  2. from here on nothing fails. Connections that are accepted from now on go by
//     c, and new listeners begin to accept
//  3. listeners that c has no more stop; what their backlogs hold is accepted
//  4. conns of routes that c has no more meet their route's OnRemove
//
// A listener whose address stays keeps its socket, whatever else of it changes,
// its name included; so do two that exchange their addresses. Where port 0 let it
// choose one, that port stays. An address that is the same but for its options is
// another one: that two of them cannot be open at a time is an error. Conns go on
// with what they began with: their stages, timeouts and upstream. An upstream that
// stays as it is keeps what it knows about its targets. A changed one begins anew
// for the conns that come, and is there for those that it has until they end.
// Listener.MaxConns counts conns from before, too; MaxPerSource those that came
// while it was set. A socket that stays keeps the TCP_USER_TIMEOUT that the routes'
// WriteStall gave it when it was opened.
//
// Policy, MoveEvery, EventLoops, LogEvery and LogRate are for a server's whole
// life and must be what they were; Log may be nil.
//
// One reload waits for the other. ctx bounds that, and what can take time in step
// 1; in step 3 its end makes Reload return before the listeners are closed, and
// before Change says who was killed. While the server drains the error is
// [ErrDraining].
func (s *Server) Reload(ctx context.Context, c Config) (Change, error) {
	p, err := c.plan()
	if err != nil {
		return Change{}, err
	}
	if err := s.allows(&c); err != nil {
		return Change{}, err
	}
	return s.change(ctx, p)
}

// change makes the server follow a plan: at its start, or later.
func (s *Server) change(ctx context.Context, p *plan) (Change, error) {
	select {
	case s.changing <- struct{}{}:
	case <-ctx.Done():
		return Change{}, fmt.Errorf("relay: another reload is under way: %w", context.Cause(ctx))
	}
	n := &next{s: s, old: s.setup.Load(), setup: &setup{
		plan: p, routes: make(map[string]*route), pools: make(map[string]*pool),
		unrouted: s.newRoute(Route{Timeouts: p.timeouts}, nil),
	}, done: make(chan Change, 1)}
	err := ErrDraining
	if !s.hasStopped() {
		err = n.open(ctx)
	}
	if opened := s.opened; err == nil && opened != nil {
		s.opened = nil
		err = opened()
	}
	if err == nil && !n.commit() || err != nil && s.hasStopped() { // nothing can be opened below it any more
		err = ErrDraining
	}
	if err != nil {
		n.close()
		<-s.changing
		return Change{}, err
	}
	soFar := n.change
	go n.retire()
	select {
	case c := <-n.done:
		return c, nil
	case <-ctx.Done():
		return soFar, nil
	}
}

// hasStopped reports whether there will be no other listeners.
func (s *Server) hasStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped || s.Draining()
}

// A next is a setup that is about to be the server's.
type next struct {
	s     *Server
	old   *setup
	setup *setup
	// accepts are all acceptors, in order; opened are those among them that
	// are new, and going those that are not.
	accepts, opened, going []*acceptor
	pools                  []*pool // that are new
	change                 Change
	done                   chan Change // gets it when all is done
}

// open opens what is new.
func (n *next) open(ctx context.Context) error {
	if err := n.openPools(); err != nil {
		return err
	}
	n.addRoutes()
	now := n.s.acceptorList()
	n.accepts = handOver(now, n.setup.plan.listeners)
	stays := make(map[*acceptor]bool, len(n.accepts))
	for _, a := range n.accepts {
		stays[a] = true
	}
	for _, a := range now {
		if !stays[a] {
			n.going = append(n.going, a)
		}
	}
	for i, a := range n.accepts {
		if a == nil {
			a, err := n.listen(ctx, &n.setup.plan.listeners[i])
			if err != nil {
				return err
			}
			// Others find it as soon as it is the server's, and then look at its entry.
			a.entry.Store(a.newEntry(n.setup.plan.listeners[i], n.setup, nil))
			n.accepts[i] = a
			n.opened = append(n.opened, a)
		}
	}
	n.compareListeners(now)
	return nil
}

// openPools opens the upstreams that are new or have changed.
func (n *next) openPools() error {
	d := n.diff(&n.change.Upstreams, len(n.old.pools))
	for i, u := range n.setup.plan.upstreams {
		u = n.setup.plan.dialled(i)
		before := n.old.pools[u.Name]
		if d.add(u.Name, before != nil, before != nil && before.config.Equal(u)) {
			n.setup.pools[u.Name] = before
			continue
		}
		p, err := n.s.openPool(u, before)
		if err != nil {
			return err
		}
		n.setup.pools[u.Name] = p
		n.pools = append(n.pools, p)
	}
	for _, u := range n.old.plan.upstreams {
		d.remove(u.Name)
	}
	return nil
}

// addRoutes makes the routes that are new or have changed. One that has not, but
// has an upstream that has, keeps the stages that it was edited to have.
func (n *next) addRoutes() {
	d := n.diff(&n.change.Routes, len(n.old.routes))
	for _, r := range n.setup.plan.routes {
		before, to := n.old.routes[r.Name], n.setup.pools[r.Upstream]
		same := before != nil && before.Route.same(&r)
		d.add(r.Name, before != nil, same)
		if same && before.pool == to {
			n.setup.routes[r.Name] = before
			continue
		}
		route := n.s.newRoute(r, to)
		if same {
			route.chains.Store(before.chains.Load())
		}
		n.setup.routes[r.Name] = route
	}
	for _, r := range n.old.plan.routes {
		d.remove(r.Name)
	}
}

// compareListeners notes what has become of them, by their names.
func (n *next) compareListeners(now []*acceptor) {
	d := n.diff(&n.change.Listeners, len(now))
	named := make(map[string]*entry, len(now))
	for _, a := range now {
		e := a.entry.Load()
		named[e.Name] = e
	}
	for i, a := range n.accepts {
		e := a.newEntry(n.setup.plan.listeners[i], n.setup, nil)
		before := named[e.Name]
		d.add(e.Name, before != nil, before != nil && before.same(e))
	}
	for _, o := range now {
		d.remove(o.name())
	}
}

// listen opens a listener.
func (n *next) listen(ctx context.Context, l *Listener) (*acceptor, error) {
	routes := l.routes()
	stall := n.setup.plan.stall(func(r *Route) bool { return slices.Contains(routes, r.Name) })
	in, err := socket.Listen(ctx, stall.onto(l.Address), &n.s.node)
	if err == nil {
		return &acceptor{s: n.s, l: in, given: l.Address, at: in.Addr().String(), begun: make(chan struct{}), ended: make(chan struct{})}, nil
	}
	for _, a := range n.going {
		if g := a.taken(); g.Kind == l.Address.Kind && g.Port == l.Address.Port && g.Path == l.Address.Path {
			return nil, fmt.Errorf("%w (listener %s, which is to go, has %s: a reload can change neither the options of an address nor its host)", err, a.name(), a.at)
		}
	}
	return nil, err
}

// commit makes the setup the server's, unless it drains.
func (n *next) commit() bool {
	s := n.s
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return false
	}
	s.acceptors += len(n.opened)
	s.accepting.Add(len(n.opened))
	s.accepts = n.accepts
	s.background.Add(1)
	s.mu.Unlock()

	n.warn()
	s.limits.Store(newLimits(n.setup.plan.limits, s.limits.Load()))
	s.setup.Store(n.setup)
	s.sweepWithin(s.watchEvery(n.setup.plan))
	for i, a := range n.accepts {
		a.entry.Store(a.newEntry(n.setup.plan.listeners[i], n.setup, a.entry.Load()))
	}
	for _, a := range n.opened {
		a.begin()
	}
	for _, a := range n.going {
		a.l.Stop()
	}
	return true
}

// warn says what is allowed about the addresses, and should be known.
func (n *next) warn() {
	say := func(a socket.Address) {
		for _, why := range a.Warnings() {
			n.s.Log.Warn("unsafe", "address", a.String(), "why", why)
		}
	}
	for _, a := range n.opened {
		say(a.given)
	}
	for _, p := range n.pools {
		for _, t := range p.config.Targets {
			say(t.Address)
		}
	}
}

// close closes what is new.
func (n *next) close() {
	for _, a := range n.opened {
		a.l.Resource().BeginDrop()
		<-a.l.Resource().Done()
	}
	for _, p := range n.pools {
		p.Pool.Close()
	}
}

// retire ends what the setup has replaced, as soon as the backlogs are empty, and
// then lets the next reload begin.
func (n *next) retire() {
	defer n.s.background.Done()
	for _, a := range n.going {
		<-a.ended
		a.l.Resource().BeginDrop()
		<-a.l.Resource().Done() // a loop may be about to leave it: then its address is free
		a.sayRefused(time.Now(), true)
	}
	for _, name := range n.change.Routes.Removed {
		killed, draining := n.s.removeRoute(n.old.routes[name])
		n.change.Killed += killed
		n.change.Draining += draining
	}
	for name, p := range n.old.pools {
		if n.setup.pools[name] != p {
			p.release()
		}
	}
	<-n.s.changing
	n.done <- n.change
}

// handOver returns which of the acceptors serves each listener from now on; nil
// for one that has to be opened. A socket stays with its address: under its name
// if it can be, under another one if not, and also if its port was chosen and is
// asked for now.
func handOver(now []*acceptor, wanted []Listener) []*acceptor {
	given, taken := make(map[socket.Address][]*acceptor), make(map[socket.Address][]*acceptor)
	for _, a := range now {
		given[a.given] = append(given[a.given], a)
		taken[a.taken()] = append(taken[a.taken()], a)
	}
	to := make([]*acceptor, len(wanted))
	gone := make(map[*acceptor]bool, len(now))
	for _, pass := range []struct {
		by   map[socket.Address][]*acceptor
		fits func(a *acceptor, l *Listener) bool
	}{
		{given, func(a *acceptor, l *Listener) bool { return a.entry.Load().Name == a.nameFor(l) }},
		{given, func(*acceptor, *Listener) bool { return true }},
		{taken, func(*acceptor, *Listener) bool { return true }},
	} {
		for i := range wanted {
			for _, a := range pass.by[wanted[i].Address] {
				if to[i] == nil && pass.fits(a, &wanted[i]) && !gone[a] {
					to[i], gone[a] = a, true
				}
			}
		}
	}
	return to
}

// nameFor returns the name that a listener would have here.
func (a *acceptor) nameFor(l *Listener) string {
	if l.Name != "" {
		return l.Name
	}
	return a.at
}

// taken returns the address that was configured, with the port that was taken.
func (a *acceptor) taken() socket.Address {
	t := a.given
	t.Port = a.l.Addr().Port
	return t
}
