package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// A pump moves one direction of a conn: from a read half, through a chain, into
// a write half, until the source ends or something fails.
type pump struct {
	moved socket.Moved // bytes read from the source, and written to the destination
}

// from returns whose bytes p moves, and to whom they go.

func (p *pump) from(c *conn) Side {
	if p == &c.up {
		return Client
	}
	return Upstream
}

func (p *pump) to(c *conn) Side { return p.reverse(c).from(c) }

// What has become of a pump: bits of its conn's word.
const (
	srcDropped  = 1 << iota // its read half was
	dstDropped              // its write half was
	resetOwed               // the source did not end with FIN
	pumpStopped             // it moves no bytes: it has ended, or has yielded
	pumpYielded             // it has let go, to go on elsewhere
	pumpWriting             // through a chain: it is inside a Write
	pumpStaged              // its chain has stages
	pumpBits    = iota
)

// What has become of a conn: bits of the same word.
const (
	relaying          = 1 << (2*pumpBits + iota) // the pumps have their halves
	finishing                                    // we let both sides finish
	isOver                                       // it has ended: began is how long it took
	edited                                       // it has chains of its own
	tapped                                       // somebody watches it: see Tap
	hasTarget                                    // its upstream's target counts it
	renamed                                      // a PROXY header names its client
	countedHere                                  // by its source, at its listener
	countedEverywhere                            // and at the server
	opened                                       // its client has a socket
)

// mark sets a bit, and returns the word as it was before, p's bits first.
func (p *pump) mark(c *conn, bit uint32) uint32 {
	const pumps = 1<<(2*pumpBits) - 1
	if p == &c.up {
		return c.bits.Or(bit) & pumps
	}
	old := c.bits.Or(bit<<pumpBits) & pumps
	return old>>pumpBits | old<<pumpBits&pumps
}

// unmark clears bits.
func (p *pump) unmark(c *conn, bits uint32) {
	if p != &c.up {
		bits <<= pumpBits
	}
	c.bits.And(^bits)
}

// marked reports whether a bit is set.
func (p *pump) marked(c *conn, bit uint32) bool {
	if p != &c.up {
		bit <<= pumpBits
	}
	return c.bits.Load()&bit != 0
}

// src returns the half that p reads from, nil if it was never taken.
func (p *pump) src(c *conn) *socket.ReadHalf {
	from, _ := p.sockets(c)
	r, _ := from.Taken()
	return r
}

// dst returns the half that p writes to, nil if it was never taken.
func (p *pump) dst(c *conn) *socket.WriteHalf {
	_, to := p.sockets(c)
	_, w := to.Taken()
	return w
}

// sockets returns the source and the destination.
func (p *pump) sockets(c *conn) (from, to *socket.Socket) {
	if p == &c.up {
		return &c.client, &c.upstream
	}
	return &c.upstream, &c.client
}

// reverse returns the pump of the other direction.
func (p *pump) reverse(c *conn) *pump {
	if p == &c.up {
		return &c.down
	}
	return &c.up
}

// run moves bytes until the end, or until the conn is to move on a loop.
func (p *pump) run(c *conn) {
	for !p.marked(c, pumpStopped) {
		chain, here := c.next(p)
		if !here {
			return
		}
		if where, err := p.move(c, chain); err != socket.ErrYielded {
			p.stopped(c, where, err)
		}
	}
}

// copyOn moves bytes on an event loop, which tells done the end.
func (p *pump) copyOn(l *socket.Loop, c *conn, done socket.Copied) {
	if c.bits.Load()&edited != 0 {
		c.runsPlain(p)
	}
	if written, err := l.Copy(p.dst(c), p.src(c), done); err != nil {
		done.Copied(written, err)
	}
}

// A conn is told of its two directions under two names.
type (
	upward   conn
	downward conn
)

// Copied is told the end of a copy on a loop.
func (u *upward) Copied(written bool, err error)   { (*conn)(u).copied(&u.up, written, err) }
func (d *downward) Copied(written bool, err error) { (*conn)(d).copied(&d.down, written, err) }

// Progress returns where a copy counts.
func (u *upward) Progress() *socket.Moved   { return &u.up.moved }
func (d *downward) Progress() *socket.Moved { return &d.down.moved }

// copied goes on when a copy on a loop has ended.
func (c *conn) copied(p *pump, written bool, err error) {
	where := inSource
	if written {
		where = inDestination
	}
	if p.stopped(c, where, err) {
		c.over()
	}
}

// ended passes the end on: FIN for FIN. After an error the conn cannot go on, but
// what the other direction has under way is delivered where it still can be.
func (p *pump) ended(c *conn, where place, err error) {
	if p.clean(c, err) {
		c.finished(p.from(c))
		if other := p.reverse(c); !other.marked(c, pumpStopped) || other.marked(c, resetOwed|pumpYielded) {
			p.dropDst(c, false)
		} // else the conn is over, and drops all at once
		return
	}
	p.mark(c, resetOwed)
	if wasCut(err) {
		return
	}
	switch where {
	case inStage:
		c.failed(StageFailed, Us, err)
		p.reverse(c).cut(c)
	case inSource:
		// Nothing can be written to where this came from.
		p.fail(c, p.from(c), err)
		p.reverse(c).cut(c)
	case inDestination:
		// The other direction comes from there: it may still have bytes.
		p.fail(c, p.to(c), err)
		c.cutLater(p.reverse(c))
	}
}

// clean reports whether p has come to a clean end with err. The end that a finish makes
// is none of bytes that were read and can no longer be written: a copy that is to go on
// on a loop does not begin any more when its source was dropped meanwhile.
func (p *pump) clean(c *conn, err error) bool {
	return err == nil || c.lets(err) && p.lost(c) == 0
}

// lets reports whether err is that of a pump that was made to finish.
func (c *conn) lets(err error) bool { return c.bits.Load()&finishing != 0 && wasCut(err) }

// wasCut reports whether err is that of a pump that the other one has cut. It
// must not cut back: the other may still be delivering what came before its own
// error.
func wasCut(err error) bool {
	return errors.Is(err, net.ErrClosed) && !errors.Is(err, lifetime.ErrShutdown)
}

// fail notes an error of the connection to side. A server of TLS 1.3 refuses a
// client's certificate when the client is through with its handshake, and reads.
func (p *pump) fail(c *conn, side Side, err error) {
	var refused *socket.TLSError
	switch {
	case errors.Is(err, lifetime.ErrShutdown):
		c.shutDown(err)
	case errors.As(err, &refused):
		c.failed(TLSFailed, side, err)
	case side == Client:
		c.failed(ResetClient, Client, err)
	default:
		c.failed(ResetUpstream, Upstream, err)
	}
}

// A place is where a pump failed.
type place int

const (
	inSource place = iota
	inStage
	inDestination
)

// move copies until the source's end, which is nil, or an error.
func (p *pump) move(c *conn, chain transform.Chain) (place, error) {
	if len(chain) == 0 {
		written, err := socket.Copy(p.dst(c), p.src(c), &p.moved)
		if written {
			return inDestination, err
		}
		return inSource, err
	}
	return p.moveStaged(c, chain)
}

// moveStaged is move through a chain.
func (p *pump) moveStaged(c *conn, chain transform.Chain) (place, error) {
	src, site := &counted{Staging: p.src(c).Stage(), c: c, n: &p.moved.In}, p.site(c)
	defer src.End()
	r, closeChain := chain.OpenAt(src, site)
	p.opened(c, site)
	defer p.closeChain(c, src, site, closeChain)
	dst := p.dst(c)
	buf := chunks.Get().(*chunk)
	defer chunks.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			if c.bits.Load()&tapped != 0 {
				c.leaves(p, buf[:n])
			}
			p.mark(c, pumpWriting)
			n, err := dst.Write(buf[:n])
			p.unmark(c, pumpWriting)
			p.moved.Out.Add(int64(n))
			if err != nil {
				return inDestination, err
			}
		}
		switch {
		case err == nil:
		case err == io.EOF && src.yielded.Load() && site.Ended():
			return inSource, socket.ErrYielded
		case err == io.EOF:
			return inSource, nil
		case isStage(err):
			return inStage, err
		default:
			return inSource, err
		}
	}
}

// site is where p's chain is open.
func (p *pump) site(c *conn) *transform.Site {
	c.mu.Lock()
	past := &c.unusual().pasts[p.index(c)] // it stays once it is there
	c.mu.Unlock()
	return &transform.Site{
		Past: past, Conn: c.id(), Direction: p.name(c), Log: c.server().Log, Owner: &c.node,
		Client: c.clientAddr(), Upstream: c.upstream.RemoteAddr(), Dial: c.dialCopy,
	}
}

// isStage reports whether an error is a stage's own, and not that of its
// resources, which a shutdown has ended.
func isStage(err error) bool {
	var stage *transform.Error
	return errors.As(err, &stage) && !errors.Is(err, lifetime.ErrShutdown)
}

// A chunk is what a staged pump moves at once.
type chunk [32 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// counted counts what a chain takes from its source. To let go it ends, so that
// the chain writes its tail.
type counted struct {
	socket.Staging
	c *conn
	n *atomic.Int64

	// A stage may read on a goroutine of its own.
	ended   atomic.Bool // a Read has failed
	yielded atomic.Bool // because it has let go
}

func (r *counted) Read(p []byte) (int, error) {
	n, carried, err := r.ReadOn(p)
	if !carried {
		r.n.Add(int64(n))
	}
	if err == nil {
		return n, nil
	}
	r.ended.Store(true)
	switch {
	case err == socket.ErrYielded:
		r.yielded.Store(true)
		err = io.EOF
	case r.c.lets(err):
		err = io.EOF
	}
	return n, err
}

// cut ends p at once, from any goroutine.
func (p *pump) cut(c *conn) {
	p.dropSrc(c)
	p.dropDst(c, true)
	p.cutChain(c)
}

// passOn makes the end of p's source known to its destination when it was not a
// clean one: a reset, but only after every byte before it has arrived, or
// linger. Both pumps have ended.
func (p *pump) passOn(c *conn, ctx context.Context) {
	if !p.marked(c, resetOwed) {
		return
	}
	ctx, stop := context.WithTimeout(ctx, max(0, c.timeouts().Linger))
	defer stop()
	if dst := p.dst(c); dst != nil {
		dst.Flush(ctx)
	}
	p.dropDst(c, true)
}

// dropSrc and dropDst let go of the halves, if they were ever taken, once: a
// second drop would be an error, and under the policy trap more than that.

func (p *pump) dropSrc(c *conn) {
	if src := p.src(c); src != nil && p.mark(c, srcDropped)&srcDropped == 0 {
		src.Resource().BeginDrop()
	}
}

func (p *pump) dropDst(c *conn, abort bool) {
	dst := p.dst(c)
	switch {
	case dst == nil || p.mark(c, dstDropped)&dstDropped != 0:
	case abort:
		dst.Abort()
	default:
		dst.Resource().BeginDrop()
	}
}
