package relay

import (
	"time"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// A ConnInfo describes a conn at one moment.
type ConnInfo struct {
	ID       string
	State    ConnState
	Listener string // where it was accepted
	Client   string // the client's address
	Upstream string
	Age      time.Duration
	// Idle is how long nothing has moved, to about a second.
	Idle time.Duration
	Up   Direction
	Down Direction
	// Loop tells whether an event loop moves the bytes, rather than goroutines.
	Loop bool
}

// A ConnState is how far a conn has come.
type ConnState string

// The states, in their order.
const (
	Dialling  ConnState = "dialling"
	Open      ConnState = "open"        // both directions run
	HalfOpen  ConnState = "half-closed" // one has ended
	Lingering ConnState = "lingering"   // both have, and a peer is to get the rest
	ShutDown  ConnState = "closing"     // it was shut down
)

// A Direction describes one pump.
type Direction struct {
	In, Out int64 // bytes from the source, and to the destination
	State   DirectionState
	Stages  []string // as they are written
	// Flows is what has gone through each stage. It is empty until the chain
	// is open; after a change it may still be that of the chain before.
	Flows []transform.Flow
}

// A DirectionState is what a pump is waiting for.
type DirectionState string

// The states.
const (
	NotBegun DirectionState = "not begun"
	Reading  DirectionState = "reading" // it waits for its source to send
	Writing  DirectionState = "writing" // it waits for its destination to take what was read
	Over     DirectionState = "ended"
)

// A ConnDetail describes a conn with all that it is made of.
type ConnDetail struct {
	ConnInfo
	// Resources are the conn and all below it, parents first: who holds what,
	// and since when.
	Resources []lifetime.Info
	// ClientSocket and UpstreamSocket are what the kernel says. UpstreamSocket
	// is nil while the conn dials.
	ClientSocket, UpstreamSocket *SocketInfo
	// Error is what went wrong so far, if anything.
	Error string
}

// A SocketInfo describes one of a conn's sockets.
type SocketInfo struct {
	Local, Remote string
	Unsent        int             // bytes written and not acknowledged
	TCP           *socket.TCPInfo // nil if it is not TCP, or not Linux
}

// Conns describes all conns that live, the oldest first. It stops nobody.
func (s *Server) Conns() []ConnInfo {
	at := tickNow()
	conns := connKind.Below(&s.node)
	list := make([]ConnInfo, len(conns))
	for i, c := range conns {
		list[i] = c.info(at)
	}
	return list
}

// Conn describes the conn with this id, with all that it is made of. It reports
// false if there is none.
func (s *Server) Conn(id string) (ConnDetail, bool) {
	c := s.find(id)
	if c == nil {
		return ConnDetail{}, false
	}
	d := ConnDetail{
		ConnInfo:     c.info(tickNow()),
		Resources:    lifetime.Snapshot(&c.node),
		ClientSocket: socketInfo(&c.client),
	}
	if c.bits.Load()&relaying != 0 {
		d.UpstreamSocket = socketInfo(&c.upstream)
	}
	c.mu.Lock()
	if c.rare != nil && c.rare.err != nil {
		d.Error = c.rare.err.Error()
	}
	c.mu.Unlock()
	return d, true
}

// find returns the conn with this id, or nil.
func (s *Server) find(id string) *conn {
	for _, c := range connKind.Below(&s.node) {
		if c.id() == id {
			return c
		}
	}
	return nil
}

func socketInfo(s *socket.Socket) *SocketInfo {
	i := &SocketInfo{Local: s.LocalAddr(), Remote: s.RemoteAddr(), Unsent: s.Unsent()}
	if tcp, ok := s.TCPInfo(); ok {
		i.TCP = &tcp
	}
	return i
}

func (c *conn) info(at tick) ConnInfo {
	s := c.server()
	i := ConnInfo{
		ID:       c.id(),
		Listener: c.path.listener,
		Client:   c.from,
		Upstream: s.To.String(),
		Age:      time.Since(epoch) - c.start(),
		Up:       c.up.info(c),
		Down:     c.down.info(c),
	}
	i.State = c.state(i.Up.State == Over, i.Down.State == Over)
	i.Idle = i.Age
	if i.State != Dialling {
		i.Idle = min(c.idle(at), i.Age)
		i.Loop = c.client.OnLoop()
	}
	return i
}

func (c *conn) state(upOver, downOver bool) ConnState {
	switch {
	case c.node.State() == lifetime.Closing:
		return ShutDown
	case c.bits.Load()&relaying == 0:
		return Dialling
	case upOver && downOver:
		return Lingering
	case upOver || downOver:
		return HalfOpen
	}
	return Open
}

func (p *pump) info(c *conn) Direction {
	d := Direction{In: p.moved.In.Load(), Out: p.moved.Out.Load(), State: Reading}
	c.mu.Lock()
	for _, stage := range c.chainOf(p) {
		d.Stages = append(d.Stages, stage.String())
	}
	d.Flows = c.flowsOf(p)
	c.mu.Unlock()
	switch {
	case c.bits.Load()&relaying == 0:
		d.State = NotBegun
	case p.over(c):
		d.State = Over
	case p.blocked(c):
		d.State = Writing
	}
	return d
}

// Live returns how many conns live.
func (s *Server) Live() int { return len(connKind.Below(&s.node)) }
