package relay

import "time"

// removeRoute does with the conns of a route that has been removed what it says.
// It returns how many were shut down, and how many are to end in the route's
// drain time. It does not wait.
func (s *Server) removeRoute(r *route) (killed, draining int) {
	r.removed.Store(true)
	if r.OnRemove == KeepConns {
		return 0, 0
	}
	var conns []*conn
	for _, c := range connKind.Below(&s.node) {
		if c.path.Load().route.Name == r.Name { // those of before it was changed, too
			conns = append(conns, c)
		}
	}
	if r.OnRemove == KillConns {
		for _, c := range conns {
			c.end(Removed)
		}
		return len(conns), 0
	}
	if len(conns) > 0 {
		s.background.Add(1)
		go s.drainRoute(r, conns)
	}
	return 0, len(conns)
}

// routeRemoved is for a conn that took its route at the moment when that was
// removed.
func (c *conn) routeRemoved() {
	switch r := c.path.Load().route; r.OnRemove {
	case KillConns:
		c.end(Removed)
	case DrainConns:
		c.server().background.Add(1)
		go c.server().drainRoute(r, []*conn{c})
	}
}

// drainRoute ends the conns of a route in its drain time: it waits for them, then
// finishes those that are left, and cuts what is still there soon after.
func (s *Server) drainRoute(r *route, conns []*conn) {
	defer s.background.Done()
	left := awaitConns(conns, r.Timeouts.Drain)
	for _, c := range left {
		if !c.beginFinish(Removed) {
			c.end(Removed)
		}
	}
	cut := awaitConns(left, patience)
	for _, c := range cut {
		c.end(Removed)
	}
	s.Log.Info("removed route has drained", "route", r.Name, "conns", len(conns), "finished", len(left)-len(cut), "cut", len(cut))
}

// awaitConns waits until conns have ended, or for a time, which is none if it is
// negative. It returns those that have not.
func awaitConns(conns []*conn, limit time.Duration) (left []*conn) {
	var timeout <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeout = timer.C
	}
	for i, c := range conns {
		select {
		case <-c.node.Done():
		case <-timeout:
			for _, c := range conns[i:] {
				select {
				case <-c.node.Done():
				default:
					left = append(left, c)
				}
			}
			return left
		}
	}
	return nil
}
