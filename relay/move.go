package relay

import (
	"errors"
	"sync"
	"time"

	"relayd/socket"
)

// A conn can move while it lives, from an event loop to goroutines, where a
// stage can be put in its way, and back. Its halves, its sockets and its
// counters stay what they are; bytes under way are written before any that are
// read later.

// move takes the conn to a loop, or to goroutines if l is nil, unless it still
// dials, a stage is in the way, or it does not fit. It does not wait. A direction
// that has ended stays so.
func (c *conn) move(l *socket.Loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bits.Load()&relaying != 0 && c.stageless() && (l == nil || c.fits(l)) {
		c.unusual().to = l
		c.up.yield(c)
		c.down.yield(c)
	}
}

// fits reports whether a loop can relay the conn, which is open.
func (c *conn) fits(l *socket.Loop) bool { return l.Fits(&c.client) && l.Fits(&c.upstream) }

// yield makes p let go, if it has begun. c.mu is held.
func (p *pump) yield(c *conn) {
	if src := p.src(c); src != nil {
		src.Yield()
	}
	if c.rare != nil {
		if at := c.rare.sites[p.index(c)]; at != nil {
			at.Yield()
		}
	}
}

// target returns the loop that the conn is to relay on, nil for goroutines: it may
// have sockets that no loop can wait for.
func (c *conn) target() *socket.Loop {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil || c.rare.to == nil || !c.fits(c.rare.to) {
		return nil
	}
	return c.rare.to
}

// stopped notes that p moves bytes no more: it has ended, or has let go to move. It
// reports whether the other direction has stopped, too.
func (p *pump) stopped(c *conn, where place, err error) (both bool) {
	bits := uint32(pumpStopped)
	yields := errors.Is(err, socket.ErrYielded)
	if yields {
		bits |= pumpYielded
	} else {
		if c.bits.Load()&tapped != 0 {
			c.tapEnded(p, err) // before what follows from it
		}
		p.ended(c, where, err)
	}
	both = p.mark(c, bits)>>pumpBits&pumpStopped != 0
	if !yields && c.bits.Load()&(edited|tapped) != 0 {
		p.tellEnd(c, err)
	}
	return both
}

// tellEnd tells those who wait for p, or have begun to watch it just now, that it
// has ended.
func (p *pump) tellEnd(c *conn, err error) {
	c.mu.Lock()
	if x := c.ownChains(); x != nil {
		x.tell()
	}
	c.mu.Unlock()
	c.tapEnded(p, err)
}

// yielded reports whether a direction has let go to move, and makes ready to go
// on with it. Both have stopped.
func (c *conn) yielded() (any bool) {
	for _, p := range []*pump{&c.up, &c.down} {
		if p.marked(c, pumpYielded) {
			p.unmark(c, pumpYielded|pumpStopped)
			any = true
		}
	}
	return any
}

// goOn goes on with a conn that has let go on a loop.
func (c *conn) goOn() {
	ctx, cancel := c.context()
	defer cancel()
	c.live(ctx)
}

// restless moves conns to and fro, for tests of just that.
type restless struct {
	mu      sync.Mutex
	conns   map[*conn]*home
	stopped chan struct{}
}

// A home is the loop that a conn comes from, and goes back to.
type home struct {
	loop *socket.Loop
	away bool
}

func (r *restless) add(c *conn, l *socket.Loop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = &home{loop: l}
}

func (r *restless) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// run moves every conn each time, until the server is done.
func (r *restless) run(s *Server, every time.Duration) {
	defer close(r.stopped)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.moveAll()
		case <-s.node.Done():
			return
		}
	}
}

func (r *restless) moveAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, h := range r.conns {
		// Who has not arrived yet is not sent back: on a slow machine nobody
		// would ever get anywhere.
		if c.bits.Load()&relaying == 0 || !c.fits(h.loop) || c.client.OnLoop() == h.away {
			continue
		}
		if h.away = !h.away; h.away {
			c.move(nil)
		} else {
			c.move(h.loop)
		}
	}
}
