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
	c     *conn
	from  Side // whose bytes it moves
	src   *socket.ReadHalf
	dst   *socket.WriteHalf
	chain transform.Chain

	in, out atomic.Int64 // bytes read from src, and written to dst

	srcDropped, dstDropped sync.Once
	wantReset              bool // the source did not end with FIN
}

// take hands the halves to p.
func (p *pump) take(c *conn, from Side, src, dst *socket.Socket, chain transform.Chain) (err error) {
	p.c, p.from, p.chain = c, from, chain
	if p.src, err = src.Receive(); err != nil {
		return err
	}
	p.dst, err = dst.Send()
	return err
}

// other returns the side that p's bytes go to.
func (p *pump) to() Side {
	if p.from == Client {
		return Upstream
	}
	return Client
}

// reverse returns the pump of the other direction.
func (p *pump) reverse() *pump {
	if p == &p.c.up {
		return &p.c.down
	}
	return &p.c.up
}

// run moves bytes until the end and passes it on: FIN for FIN. After an error
// the conn cannot go on, but what the other direction has under way is
// delivered where it still can be.
func (p *pump) run() {
	where, err := p.move()
	if err == nil {
		p.c.finished(p.from)
		p.dropDst(false)
		return
	}
	p.wantReset = true
	if wasCut(err) {
		return
	}
	switch where {
	case inStage:
		p.c.failed(StageFailed, Us, err)
		p.reverse().cut()
	case inSource:
		// Nothing can be written to where this came from.
		p.fail(p.from, err)
		p.reverse().cut()
	case inDestination:
		// The other direction comes from there: it may still have bytes.
		p.fail(p.to(), err)
		p.c.cutLater(p.reverse())
	}
}

// wasCut reports whether err is that of a pump that the other one has cut. It
// must not cut back: the other may still be delivering what came before its own
// error.
func wasCut(err error) bool {
	return errors.Is(err, net.ErrClosed) && !errors.Is(err, lifetime.ErrShutdown)
}

// fail notes an error of the connection to side.
func (p *pump) fail(side Side, err error) {
	switch {
	case errors.Is(err, lifetime.ErrShutdown):
		p.c.shutDown(err)
	case side == Client:
		p.c.failed(ResetClient, Client, err)
	default:
		p.c.failed(ResetUpstream, Upstream, err)
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
func (p *pump) move() (place, error) {
	if len(p.chain) == 0 {
		written, err := socket.Copy(p.dst, p.src, &p.out)
		p.in.Store(p.out.Load())
		if written {
			return inDestination, err
		}
		return inSource, err
	}
	return p.moveStaged()
}

// moveStaged is move through a chain.
func (p *pump) moveStaged() (place, error) {
	r, closeChain := p.chain.Open(counted{p.src, &p.in})
	defer closeChain()
	buf := chunks.Get().(*chunk)
	defer chunks.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			n, err := p.dst.Write(buf[:n])
			p.out.Add(int64(n))
			if err != nil {
				return inDestination, err
			}
		}
		var stage *transform.Error
		switch {
		case err == nil:
		case err == io.EOF:
			return inSource, nil
		case errors.As(err, &stage):
			return inStage, err
		default:
			return inSource, err
		}
	}
}

// A chunk is what a staged pump moves at once.
type chunk [32 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// counted counts what a chain takes from its source.
type counted struct {
	*socket.ReadHalf
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadHalf.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// cut ends p at once, from any goroutine.
func (p *pump) cut() {
	p.dropSrc()
	p.dropDst(true)
}

// passOn makes the end of p's source known to its destination when it was not a
// clean one: a reset, but only after every byte before it has arrived, or
// linger. Both pumps have ended.
func (p *pump) passOn() {
	if !p.wantReset {
		return
	}
	ctx, stop := context.WithTimeout(p.c.ctx, linger)
	defer stop()
	p.dst.Flush(ctx)
	p.dropDst(true)
}

// drop lets go of both halves, if they were ever taken.
func (p *pump) drop() {
	if p.src != nil {
		p.dropSrc()
	}
	if p.dst != nil {
		p.dropDst(false)
	}
}

func (p *pump) dropSrc() { p.srcDropped.Do(p.endSrc) }

func (p *pump) dropDst(abort bool) {
	if abort {
		p.dstDropped.Do(p.abortDst)
	} else {
		p.dstDropped.Do(p.endDst)
	}
}

func (p *pump) endSrc()   { p.src.Resource().BeginDrop() }
func (p *pump) endDst()   { p.dst.Resource().BeginDrop() }
func (p *pump) abortDst() { p.dst.Abort() }
