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
	Listener string // where it was accepted, by name
	Route    string // by name; "" until it is chosen
	Client   string // the client's address, or that of whom a PROXY header names
	// Upstream is the address that it is connected to, or dials. As long as no
	// target was picked it is what Pool is, if that has several.
	Upstream string
	Pool     string // the upstream, by name; "" until the route is chosen
	Target   string // the upstream's target, by name
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
	Opening   ConnState = "opening" // its preface is read
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
	// is nil while the conn dials, and ClientSocket in the moment of the accept.
	ClientSocket, UpstreamSocket *SocketInfo
	// Timeouts are those of its route, and PrefaceTimeout is its listener's.
	Timeouts       Timeouts
	PrefaceTimeout time.Duration
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
		ConnInfo:  c.info(tickNow()),
		Resources: lifetime.Snapshot(&c.node),
		Timeouts:  *c.timeouts(),

		PrefaceTimeout: c.path.Load().entry.prefaceTimeout(),
	}
	if c.bits.Load()&opened != 0 {
		d.ClientSocket = socketInfo(&c.client)
	}
	if c.bits.Load()&relaying != 0 {
		d.UpstreamSocket = socketInfo(&c.upstream)
	}
	if err := c.wrong(); err != nil {
		d.Error = err.Error()
	}
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
	p := c.path.Load()
	i := ConnInfo{
		ID:       c.id(),
		Listener: p.entry.Name,
		Route:    p.route.Name,
		Client:   c.clientAddr(),
		Pool:     p.route.Upstream,
		Age:      c.age(),
		Up:       c.up.info(c),
		Down:     c.down.info(c),
	}
	i.Upstream, i.Target = c.where()
	i.State = c.state(i.Up.State == Over, i.Down.State == Over)
	i.Idle = i.Age
	if i.State != Dialling && i.State != Opening {
		i.Idle = min(c.idle(at), i.Age)
		i.Loop = c.bits.Load()&opened != 0 && c.client.OnLoop()
	}
	return i
}

// where returns the address that the conn is connected to or dials, and the name
// of that target; if none was picked, what is known.
func (c *conn) where() (address, target string) {
	p := c.path.Load()
	switch m := p.target; {
	case m != nil:
		return m.Address().String(), m.Name()
	case p.chosen():
		return p.route.pool.label, ""
	}
	return "", ""
}

func (c *conn) state(upOver, downOver bool) ConnState {
	switch {
	case c.node.State() == lifetime.Closing:
		return ShutDown
	case c.bits.Load()&relaying == 0:
		if !c.path.Load().chosen() {
			return Opening
		}
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
