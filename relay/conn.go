package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// A conn is one relayed connection. Its resource holds both sockets, and it is
// over, and logged, when both are released.
type conn struct {
	node   lifetime.Node
	s      *Server
	from   string // the client's address
	at     string // the listener's
	began  time.Time
	ctx    context.Context // ends when the conn is shut down
	cancel context.CancelFunc

	client, upstream socket.Socket
	dialled          bool // upstream is open
	up, down         pump

	mu     sync.Mutex
	reason Reason // "" until something failed
	first  Side   // "" until one side has ended
	err    error
	hurry  *time.Timer // cuts the direction that an error left running
}

var (
	connKind = lifetime.NewKind(lifetime.Hooks[conn]{
		Name:      "conn",
		Numbered:  true,
		Interrupt: func(c *conn, _ error) { c.cancel() },
		Release:   (*conn).ended,
	})
	clientPlace   = socket.NewPlace("client")
	upstreamPlace = socket.NewPlace("upstream")
)

func newConn(s *Server, l *socket.Listener, in socket.Incoming) *conn {
	c := &conn{s: s, from: in.RemoteAddr(), at: l.Addr().String(), began: time.Now()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *conn) id() string { return c.node.Name() }

// run is the conn's life. It is an operation of the conn, which is not released
// before it has left.
func (c *conn) run() {
	defer c.node.Leave()
	if err := c.connect(); err != nil {
		c.dialFailed(err)
	} else {
		c.relay()
	}
	c.drop()
}

// connect dials the upstream and hands the halves to the pumps.
func (c *conn) connect() error {
	ctx := c.ctx
	if t := c.s.ConnectTimeout; t > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, t)
		defer stop()
	}
	at := socket.At{Parent: &c.node, Place: upstreamPlace, Policy: c.s.Policy, In: &c.upstream, Stderr: c.stderr}
	if _, err := socket.Dial(ctx, c.s.To, at); err != nil {
		return err
	}
	c.dialled = true
	// These fail when the conn is shut down at this moment.
	if err := c.up.take(c, Client, &c.client, &c.upstream, c.s.Up); err != nil {
		return err
	}
	return c.down.take(c, Upstream, &c.upstream, &c.client, c.s.Down)
}

// relay runs both directions to their ends.
func (c *conn) relay() {
	up := make(chan struct{})
	go c.runUp(up)
	c.down.run()
	<-up
	c.mu.Lock()
	if c.hurry != nil {
		c.hurry.Stop()
	}
	c.mu.Unlock()
	c.up.passOn()
	c.down.passOn()
}

func (c *conn) runUp(done chan<- struct{}) {
	defer close(done)
	c.up.run()
}

// finished notes that side has sent its last byte.
func (c *conn) finished(side Side) {
	c.mu.Lock()
	if c.first == "" {
		c.first = side
	}
	c.mu.Unlock()
}

// failed notes that the conn cannot go on, and why. The first failure counts,
// and it is the first closer unless one side had finished before.
func (c *conn) failed(r Reason, side Side, err error) {
	c.mu.Lock()
	if c.first == "" {
		c.first = side
	}
	if c.reason == "" {
		c.reason, c.err = r, err
	}
	c.mu.Unlock()
}

// cutLater gives p a moment to deliver what is on its way, and then cuts it.
func (c *conn) cutLater(p *pump) {
	c.mu.Lock()
	if c.hurry == nil {
		c.hurry = time.AfterFunc(linger, p.cut)
	}
	c.mu.Unlock()
}

// dialFailed resets the client, whose connection leads nowhere.
func (c *conn) dialFailed(err error) {
	switch {
	case c.node.State() != lifetime.Live:
		c.shutDown(err)
	case socket.IsTimeout(err):
		c.failed(DialTimeout, Upstream, err)
	case socket.IsNoPorts(err):
		c.failed(NoPorts, Us, err)
	case socket.IsExhausted(err):
		c.failed(DialFailed, Us, err)
	default:
		c.failed(DialFailed, Upstream, err)
	}
	c.client.Resource().BeginShutdown(err)
}

// shutDown notes that we ended the conn ourselves.
func (c *conn) shutDown(err error) {
	r := Killed
	if errors.Is(c.node.Err(), errDrained) {
		r = Drained
	}
	c.failed(r, Us, err)
}

// drop lets go of everything, children first, which is right under every
// policy. What a socket still owes its peer it finishes by itself.
func (c *conn) drop() {
	c.up.drop()
	c.down.drop()
	c.client.Resource().BeginDrop()
	if c.dialled {
		c.upstream.Resource().BeginDrop()
	}
	c.node.BeginDrop()
}

// ended logs the conn, when all of it is released.
func (c *conn) ended() {
	c.cancel()
	if c.node.End() == lifetime.ShutDown {
		c.shutDown(c.node.Err()) // if nobody has noticed it before
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == "" {
		c.reason = EOF
	}
	if c.first == "" {
		c.first = Us
	}
	if c.reason == Drained {
		c.s.cut.Add(1)
	}
	c.log()
}
