package relay

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// A conn is one relayed connection. Its resource holds both sockets, and it is
// over, and logged, when both are released.
type conn struct {
	node lifetime.Node
	path atomic.Pointer[path] // replaced when the route is chosen; see preface
	from string               // the address that it came from

	client, upstream socket.Socket
	up, down         pump

	mu      sync.Mutex
	began   time.Duration    // by the process's clock; at the end, how long it took
	rare    *rare            // what few conns need
	dialing *socket.Dialling // on a loop
	bits    atomic.Uint32    // of the pumps, and our own
	watched
	dialled bool   // upstream is open
	dead    bool   // shut down
	reason  Reason // noReason until something failed
	first   Side   // nobody until one side has ended
}

// A rare is what few conns need.
type rare struct {
	err     error
	to      *socket.Loop        // where to relay; nil: on goroutines
	hurry   *time.Timer         // cuts the direction that an error left running
	cancel  context.CancelFunc  // of the context that a goroutine waits with
	stalled *stalled            // the watch's
	sites   [2]*transform.Site  // of the open chains, up and down
	flows   [2][]transform.Flow // through those that are closed
	pasts   [2]transform.Past   // of the streams that go through them
	chains  *chains             // its own
	dials   time.Duration       // since when it dials, if a preface was before
	reach   *reach              // dials that have failed

	introduced *introduced // what the preface has told; nil before it, and without
	taps       []*Tap      // replaced, never changed
}

// epoch is when the clock of began began.
var epoch = time.Now()

var (
	connKind = lifetime.NewKind(lifetime.Hooks[conn]{
		Name:      "conn",
		Numbered:  true,
		Interrupt: (*conn).interrupt,
		Release:   (*conn).ended,
	})
	clientPlace   = socket.NewPlace("client")
	upstreamPlace = socket.NewPlace("upstream")
)

// age returns how long ago the conn was accepted, or how long it took if it has
// ended.
func (c *conn) age() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bits.Load()&isOver != 0 {
		return c.began
	}
	return time.Since(epoch) - c.began
}

func (c *conn) id() string      { return c.node.Name() }
func (c *conn) server() *Server { return c.path.Load().s }

// timeouts returns those of the conn's route.
func (c *conn) timeouts() *Timeouts { return &c.path.Load().route.Timeouts }

// interrupt cancels what the conn itself waits for. Its sockets and halves have
// their own.
func (c *conn) interrupt(error) {
	c.mu.Lock()
	c.dead = true
	g := c.dialing
	var cancel context.CancelFunc
	if c.rare != nil {
		cancel = c.rare.cancel
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	c.up.cutChain(c)
	c.down.cutChain(c)
	if g != nil {
		g.Cancel()
	}
}

// context returns one that ends when the conn is shut down.
func (c *conn) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.unusual().cancel = cancel
	dead := c.dead
	c.mu.Unlock()
	if dead {
		cancel()
	}
	return ctx, cancel
}

// live relays, wherever the conn is to, until both directions have ended or a
// loop has taken over.
func (c *conn) live(ctx context.Context) {
	for {
		if l := c.target(); l != nil {
			c.relayOn(l)
			return
		}
		c.relay()
		if !c.yielded() {
			break
		}
	}
	c.settle(ctx)
	c.drop()
	c.node.Leave()
}

// relay runs both directions on goroutines, until each has ended or yielded.
func (c *conn) relay() {
	up := make(chan struct{})
	go c.runUp(up)
	c.down.run(c)
	<-up
}

// relayOn is relay on an event loop: it does not wait. The last direction that
// ends calls over.
func (c *conn) relayOn(l *socket.Loop) {
	up, down := !c.up.marked(c, pumpStopped), !c.down.marked(c, pumpStopped)
	if up {
		c.up.copyOn(l, c, (*upward)(c))
	}
	if down {
		c.down.copyOn(l, c, (*downward)(c))
	}
}

// over ends the conn after both directions have stopped on a loop, unless they
// are to go on. What remains to be waited for is for a goroutine.
func (c *conn) over() {
	if c.yielded() {
		go c.goOn()
		return
	}
	if c.up.marked(c, resetOwed) || c.down.marked(c, resetOwed) {
		go c.passOn()
		return
	}
	c.settle(context.Background()) // it owes nothing, and so does not wait
	c.drop()
	c.node.Leave()
}

// passOn is the end of a conn that did not end cleanly.
func (c *conn) passOn() {
	defer c.node.Leave()
	ctx, cancel := c.context()
	defer cancel()
	c.settle(ctx)
	c.drop()
}

// settle makes known, after both directions have ended, how they did.
func (c *conn) settle(ctx context.Context) {
	c.mu.Lock()
	if c.rare != nil && c.rare.hurry != nil {
		c.rare.hurry.Stop()
	}
	c.mu.Unlock()
	c.up.passOn(c, ctx)
	c.down.passOn(c, ctx)
}

func (c *conn) runUp(done chan<- struct{}) {
	defer close(done)
	c.up.run(c)
}

// finished notes that side has sent its last byte.
func (c *conn) finished(side Side) {
	c.mu.Lock()
	if c.first == nobody {
		c.first = side
	}
	c.mu.Unlock()
}

// failed notes that the conn cannot go on, and why. The first failure counts,
// and it is the first closer unless one side had finished before.
func (c *conn) failed(r Reason, side Side, err error) {
	c.mu.Lock()
	if c.first == nobody {
		c.first = side
	}
	if c.reason == noReason {
		c.reason = r
		c.unusual().err = err
	}
	c.mu.Unlock()
}

// cutLater gives p a moment to deliver what is on its way, and then cuts it.
func (c *conn) cutLater(p *pump) {
	c.mu.Lock()
	if x := c.unusual(); x.hurry == nil {
		x.hurry = time.AfterFunc(max(0, c.timeouts().Linger), func() { p.cut(c) })
	}
	c.mu.Unlock()
}

// wrong returns what went wrong so far, if anything.
func (c *conn) wrong() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil {
		return nil
	}
	return c.rare.err
}

// unusual returns the rare part, which it makes if there is none. c.mu is held.
func (c *conn) unusual() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

// shutDown notes that we ended the conn ourselves.
func (c *conn) shutDown(err error) {
	var why ending
	if !errors.As(c.node.Err(), &why) && !errors.As(err, &why) {
		why = ending(Killed)
	}
	c.failed(Reason(why), Us, err)
}

// drop lets go of everything. What a socket still owes its peer it finishes by
// itself. Children first is right under every policy. Under refcount the sockets
// may go first, and then the last half of one whose peer has finished leaves its
// FIN to the close, which is a call less.
func (c *conn) drop() {
	if c.server().Policy == lifetime.Refcount {
		c.dropSockets()
		c.dropHalves()
	} else {
		c.dropHalves()
		c.dropSockets()
	}
	c.node.BeginDrop()
}

func (c *conn) dropHalves() {
	c.up.dropSrc(c)
	c.down.dropSrc(c)
	c.up.dropDst(c, false)
	c.down.dropDst(c, false)
}

func (c *conn) dropSockets() {
	c.client.Resource().BeginDrop()
	if c.dialled {
		c.upstream.Resource().BeginDrop()
	}
}
