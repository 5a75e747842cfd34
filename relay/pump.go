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
	c    *conn
	from Side // whose bytes it moves
	src  *socket.ReadHalf
	dst  *socket.WriteHalf

	moved socket.Moved // bytes read from src, and written to dst

	srcDropped, dstDropped sync.Once
	wantReset              bool // the source did not end with FIN
}

// take hands the halves to p.
func (p *pump) take(src, dst *socket.Socket) (err error) {
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

// run moves bytes until the end.
func (p *pump) run(chain transform.Chain) { p.ended(p.move(chain)) }

// copyOn moves bytes on an event loop, which tells the end.
func (p *pump) copyOn(l *socket.Loop) {
	if written, err := l.Copy(p.dst, p.src, &p.moved, p); err != nil {
		p.Copied(written, err)
	}
}

// Copied is told the end of a copy on a loop.
func (p *pump) Copied(written bool, err error) {
	where := inSource
	if written {
		where = inDestination
	}
	p.ended(where, err)
	if p.c.running.Add(-1) == 0 {
		p.c.over()
	}
}

// ended passes the end on: FIN for FIN. After an error the conn cannot go on, but
// what the other direction has under way is delivered where it still can be.
func (p *pump) ended(where place, err error) {
	if err == nil {
		p.c.finished(p.from)
		if p.c.running.Load() != 1 || p.reverse().wantReset { // else the conn is over, and drops all at once
			p.dropDst(false)
		}
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
func (p *pump) move(chain transform.Chain) (place, error) {
	if len(chain) == 0 {
		written, err := socket.Copy(p.dst, p.src, &p.moved)
		if written {
			return inDestination, err
		}
		return inSource, err
	}
	return p.moveStaged(chain)
}

// moveStaged is move through a chain.
func (p *pump) moveStaged(chain transform.Chain) (place, error) {
	r, closeChain := chain.Open(counted{p.src, &p.moved.In})
	defer closeChain()
	buf := chunks.Get().(*chunk)
	defer chunks.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			n, err := p.dst.Write(buf[:n])
			p.moved.Out.Add(int64(n))
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
func (p *pump) passOn(ctx context.Context) {
	if !p.wantReset {
		return
	}
	ctx, stop := context.WithTimeout(ctx, linger)
	defer stop()
	p.dst.Flush(ctx)
	p.dropDst(true)
}

// dropSrc and dropDst let go of the halves, if they were ever taken.

func (p *pump) dropSrc() {
	if p.src != nil {
		p.srcDropped.Do(p.endSrc)
	}
}

func (p *pump) dropDst(abort bool) {
	if p.dst == nil {
		return
	}
	if abort {
		p.dstDropped.Do(p.abortDst)
	} else {
		p.dstDropped.Do(p.endDst)
	}
}

func (p *pump) endSrc()   { p.src.Resource().BeginDrop() }
func (p *pump) endDst()   { p.dst.Resource().BeginDrop() }
func (p *pump) abortDst() { p.dst.Abort() }
