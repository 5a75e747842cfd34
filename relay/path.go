package relay

import "relayd/transform"

// A path is what the conns of one listener begin with. It does not change: an
// edit of the route makes another one, for the conns that come then.
type path struct {
	s        *Server
	listener string // its address
	up, down transform.Chain
}

// An Edit is given the chains that are, which it leaves alone, and returns those
// that are to be. It must not wait. If it fails nothing changes, and its error is
// passed on.
type Edit func(up, down transform.Chain) (newUp, newDown transform.Chain, err error)

// Chains returns the stages that conns go through that are accepted now.
func (s *Server) Chains() (up, down transform.Chain) {
	p := s.accepts[0].path.Load()
	return p.up, p.down
}

// EditChains changes the stages that conns go through that are accepted from now
// on. Those that live go on as they are: see [Server.EditConn].
func (s *Server) EditChains(edit Edit) (up, down transform.Chain, err error) {
	s.editing.Lock()
	defer s.editing.Unlock()
	if up, down, err = edit(s.Chains()); err != nil {
		return nil, nil, err
	}
	for _, a := range s.accepts {
		a.path.Store(&path{s: s, listener: a.at, up: up, down: down})
	}
	return up, down, nil
}
