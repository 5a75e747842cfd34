package relay

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"relayd/lifetime"
	"relayd/relay/upstream"
	"relayd/socket"
)

// A conn reaches its upstream by a target that the pool picks. If it cannot be
// dialled, others have their turn, as long as the pool's policy and the connect
// timeout allow.

// A reach is what is known of a conn's dials that have failed.
type reach struct {
	tried []*upstream.Member
	err   error         // of the last one
	wait  time.Duration // before the next one
}

// begin begins the conn's life. Until its end it is an operation of the conn,
// which is not released before: on a loop, if it can be, or on a goroutine.
func (c *conn) begin(l *socket.Loop) {
	p := c.path.Load()
	if l == nil || !p.chosen() {
		go c.run(l)
		return
	}
	m := p.route.pool.TryTake(c.source())
	if m == nil {
		go c.run(l)
		return
	}
	c.takes(m)
	if !c.plain() || !m.OnLoop() {
		go c.run(l)
		return
	}
	g := l.Dial(m.Dialer(), c.upstreamAt(), p.dialTime(), &c.client, c)
	c.mu.Lock()
	c.dialing = g
	dead := c.dead
	c.mu.Unlock()
	if dead {
		g.Cancel()
	}
}

// dialTime bounds the first dial; negative is no bound.
func (p *path) dialTime() time.Duration {
	return p.route.pool.DialTimeout(p.route.Timeouts.Connect)
}

// run is the conn's life on a goroutine, to its end or to where a loop takes
// over.
func (c *conn) run(l *socket.Loop) {
	ctx, cancel := c.context()
	defer cancel()
	if !c.path.Load().chosen() {
		if err := c.open(ctx); err != nil {
			c.giveUp(err)
			return
		}
	}
	if err := c.connect(ctx); err != nil {
		c.dialFailed(err)
		c.giveUp(err)
		return
	}
	if l != nil && c.fits(l) {
		c.mu.Lock()
		if c.stageless() {
			c.unusual().to = l
		}
		c.mu.Unlock()
	}
	c.live(ctx)
}

// giveUp ends a conn that has not reached its upstream: the client is reset, its
// connection leads nowhere. One that has gone before it said a word is not.
func (c *conn) giveUp(err error) {
	if c.dying() {
		c.shutDown(err)
	}
	var handshake handshakeError
	alerted := errors.As(err, &handshake) && !socket.IsTimeout(err) // an alert is on its way
	if !alerted && !c.unspoken() {
		c.client.Resource().BeginShutdown(err)
	}
	c.drop()
	c.node.Leave()
}

// unspoken reports whether the client has gone by [NoPreface].
func (c *conn) unspoken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason == NoPreface
}

// dying reports whether the conn is shut down.
func (c *conn) dying() bool { return c.node.State() != lifetime.Live }

// Dialled goes on when a dial on a loop has ended.
func (c *conn) Dialled(l *socket.Loop, _ *socket.Socket, err error) {
	c.mu.Lock()
	c.dialing = nil
	c.mu.Unlock()
	c.path.Load().target.Dialled(err, time.Since(epoch)-c.dialsSince())
	if err == nil {
		err = c.take()
	} else if c.missed(err) {
		go c.run(l) // to the next one
		return
	}
	if err != nil {
		c.dialFailed(err)
		c.giveUp(err)
		return
	}
	if !c.plain() { // since the dial began
		c.up.yield(c)
		c.down.yield(c)
	}
	c.relayOn(l)
}

// connect dials the upstream and hands the halves to the pumps.
func (c *conn) connect(ctx context.Context) error {
	p := c.path.Load()
	if t := p.route.Timeouts.Connect; t > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, c.dialsSince()+t-time.Since(epoch))
		defer stop()
	}
	for {
		m, err := c.pick(ctx, p.route.pool)
		if err != nil {
			return err
		}
		_, winner, err := p.route.pool.Dial(ctx, m, c.upstreamAt())
		if err == nil {
			c.takes(winner)
			c.server().stale.look(c.server().Log, &c.upstream, winner.Address())
			return c.take()
		}
		if !c.missed(err) || ctx.Err() != nil {
			return err
		}
	}
}

// pick returns the target to dial: the one that is taken, or one that has not
// failed yet. It may wait in the upstream's queue.
func (c *conn) pick(ctx context.Context, from *pool) (*upstream.Member, error) {
	if c.bits.Load()&hasTarget != 0 {
		return c.path.Load().target, nil
	}
	var before reach
	c.mu.Lock()
	if r := c.rare.reach; r != nil {
		before = *r
	}
	c.mu.Unlock()
	if before.err != nil && !pause(ctx, before.wait) {
		return nil, before.err
	}
	m, err := from.Take(ctx, c.source(), before.tried...)
	switch {
	case err == nil:
		c.takes(m)
	case before.err != nil && ctx.Err() == nil:
		err = before.err // it says more
	}
	return m, err
}

// pause waits, and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// takes notes the target that the conn has.
func (c *conn) takes(m *upstream.Member) {
	c.path.Store(c.path.Load().toTarget(m))
	c.bits.Or(hasTarget)
}

// leavesTarget tells the target that the conn has it no more, once.
func (c *conn) leavesTarget() {
	if c.bits.And(^uint32(hasTarget))&hasTarget != 0 {
		c.path.Load().target.Done()
	}
}

// missed notes a dial that has failed, of which the target knows, and reports
// whether another one is to follow.
func (c *conn) missed(err error) (again bool) {
	m := c.path.Load().target
	defer c.leavesTarget()
	if c.dying() || errors.Is(err, socket.ErrPeerGone) || socket.IsExhausted(err) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.unusual()
	if x.reach == nil {
		x.reach = new(reach)
	}
	r := x.reach
	r.tried, r.err = append(r.tried, m), err
	r.wait, again = c.path.Load().route.pool.Retry(len(r.tried))
	return again
}

// dialsSince returns since when the conn dials, by the process's clock: since its
// accept, if no preface was before. It is for a conn that has not ended.
func (c *conn) dialsSince() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare != nil && c.rare.dials != 0 {
		return c.rare.dials
	}
	return c.began
}

// source returns the address of the client, or the zero Addr.
func (c *conn) source() netip.Addr { return sourceOf(c.clientAddr()) }

// upstreamAt is where the upstream's socket stands.
func (c *conn) upstreamAt() socket.At {
	at := c.path.Load().route.at
	at.Parent, at.Place, at.In, at.Stderr = &c.node, upstreamPlace, &c.upstream, c.stderr
	return at
}

// take hands the halves to the pumps. It fails when the conn is shut down at
// this moment.
func (c *conn) take() error {
	c.dialled = true
	for _, s := range []*socket.Socket{&c.client, &c.upstream} {
		r, w := s.Taken() // the preface may have needed them
		if r == nil {
			if _, err := s.Receive(); err != nil {
				return err
			}
		}
		if w == nil {
			if _, err := s.Send(); err != nil {
				return err
			}
		}
	}
	if err := c.greet(); err != nil {
		return err
	}
	c.moved.Store(uint32(tickNow()))
	c.bits.Or(relaying)
	if c.bits.Load()&tapped != 0 {
		c.watchTaps()
	}
	c.server().ledger.dial.add(time.Since(epoch) - c.dialsSince())
	return nil
}

// dialFailed notes why there is no connection to the upstream.
func (c *conn) dialFailed(err error) {
	var noTLS *socket.TLSError
	var ours ending
	switch {
	case c.dying():
		c.shutDown(err)
	case errors.Is(err, socket.ErrPeerGone) && errors.As(c.client.Resource().Err(), &ours):
		c.shutDown(ours) // a kill may reach the socket before the conn
	case errors.Is(err, socket.ErrPeerGone):
		c.failed(ResetClient, Client, err)
	case errors.Is(err, upstream.ErrFull), errors.Is(err, upstream.ErrQueueTimeout):
		c.failed(QueueFull, Us, err)
	case errors.Is(err, upstream.ErrDown):
		c.failed(NoUpstream, Upstream, err)
	case socket.IsTimeout(err):
		c.failed(DialTimeout, Upstream, err)
	case errors.As(err, &noTLS):
		c.failed(TLSFailed, Upstream, err)
	case socket.IsNoPorts(err):
		c.failed(NoPorts, Us, err)
	case socket.IsExhausted(err):
		c.failed(DialFailed, Us, err)
	default:
		c.failed(DialFailed, Upstream, err)
	}
}
