package relay

import (
	"sync/atomic"

	"relayd/relay/upstream"
)

// A pool is an open upstream, with those who hold it: the configuration that
// names it, and the conns that were sent to it. What a reload changes or removes
// goes on for the conns that it has, with all that is known of its targets, and
// is closed after the last one.
type pool struct {
	*upstream.Pool
	config  upstream.Config
	s       *Server
	label   string       // what is said of conns that have no target yet
	holders atomic.Int64 // 0: it is closed, or about to be
}

// openPool opens an upstream, which may take the place of another one. The caller
// holds it.
func (s *Server) openPool(c upstream.Config, before *pool) (*pool, error) {
	p := &pool{s: s, config: c, label: c.Name}
	if len(c.Targets) == 1 {
		p.label = c.Targets[0].Address.String()
	}
	p.holders.Store(1)
	o := upstream.Options{Log: s.Log, OnDown: p.targetDown}
	if before != nil {
		o.Before = before.Pool
	}
	var err error
	p.Pool, err = upstream.Open(c, o)
	return p, err
}

// hold adds a holder. It fails when the last one has gone: a path that leads here
// has been replaced.
func (p *pool) hold() bool {
	for {
		n := p.holders.Load()
		if n == 0 {
			return false
		}
		if p.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release takes a holder away. The last one may be on an event loop, and closing
// waits for what the pool does on its own.
func (p *pool) release() {
	if p.holders.Add(-1) == 0 {
		p.s.background.Add(1)
		go p.close()
	}
}

func (p *pool) close() {
	defer p.s.background.Done()
	p.Pool.Close()
}

// targetDown ends the conns of a target that has gone down, as its upstream says.
// Those of one that is merely ejected may be as well as ever: it is dials that
// failed. It does not wait.
func (p *pool) targetDown(m *upstream.Member, state upstream.State, _ string) {
	how := p.config.OnDown
	if how == upstream.Keep || state != upstream.Down {
		return
	}
	for _, c := range connKind.Below(&p.s.node) {
		switch {
		case c.path.Load().target != m || c.bits.Load()&relaying == 0:
		case how == upstream.FIN && c.beginFinish(UpstreamDown):
		default:
			c.end(UpstreamDown)
		}
	}
}

// Upstream returns the pool of an upstream, for its status and for what is done by
// hand, or nil if there is none of that name. A reload that changes or removes the
// upstream closes the pool, when its last conn has ended.
func (s *Server) Upstream(name string) *upstream.Pool {
	if p := s.setup.Load().pools[name]; p != nil {
		return p.Pool
	}
	return nil
}

// Upstreams describes all upstreams, in the order of the configuration.
func (s *Server) Upstreams() []upstream.Status {
	now := s.setup.Load()
	list := make([]upstream.Status, len(now.plan.upstreams))
	for i, u := range now.plan.upstreams {
		list[i] = now.pools[u.Name].Status()
	}
	return list
}
