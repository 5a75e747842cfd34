package relay

import (
	"sync/atomic"
	"time"
)

// The watch looks at all conns in turn, about once a second, and ends those
// whose time is up. It compares counters with what they were, so that it costs
// nothing where bytes move: no timer is set and no clock is read there.

// A tick is a moment, in steps of 10 ms since the process began. It wraps after
// more than a year, when nobody looks so far back.
type tick uint32

const tickLength = 10 * time.Millisecond

// tickNow returns the present.
func tickNow() tick { return tick(time.Since(epoch) / tickLength) }

// maxAhead is how far a tick may be ahead of another one that was read before it. What
// seems further ahead is far back.
const maxAhead = tick(time.Hour / tickLength)

// until returns the time from t to a later tick. It is none if t is the later one by
// a little: a conn may have begun while the watch was on its way to it.
func (t tick) until(later tick) time.Duration {
	if t-later < maxAhead {
		return 0
	}
	return time.Duration(later-t) * tickLength
}

// A watched is what the watch knows of each conn.
type watched struct {
	sum   uint32        // of the counters; wrapped or not, it differs from before
	moved atomic.Uint32 // the tick of the last progress
}

// A stalled is what the watch knows of a conn whose bytes wait, or whose time is
// nearly up: the few that it has to ask the kernel about.
type stalled struct {
	unsent  int // in both sockets' send queues
	known   bool
	waiting [2]waiting // up, down
}

// A waiting is a direction with bytes that its destination does not take.
type waiting struct {
	on     bool
	out    int64 // written so far
	unsent int   // in the destination's send queue
	since  tick
}

// watch looks at all conns until the last one is gone.
func (s *Server) watch() {
	defer close(s.unwatched)
	every := time.NewTicker(time.Duration(s.sweepAt.Load()))
	defer every.Stop()
	before := time.Since(epoch)
	var conns []*conn // the same each time: garbage would cost memory for each idle conn
	for {
		select {
		case <-every.C:
			now := time.Since(epoch)
			conns = connKind.AppendBelow(conns[:0], &s.node)
			for _, c := range conns {
				c.look(tick(now / tickLength))
				if s.LogEvery > 0 {
					c.logLife(before, now, s.LogEvery)
				}
			}
			clear(conns)
			before = now
			s.sayRefused(false)
		case <-s.sweepSoon:
			every.Reset(time.Duration(s.sweepAt.Load()))
		case <-s.node.Done():
			s.sayRefused(true)
			return
		}
	}
}

func (s *Server) sayRefused(last bool) {
	for _, a := range s.acceptorList() {
		a.sayRefused(time.Now(), last)
	}
}

// sweepWithin makes the watch look so often at least: conns of before have the
// timeouts of before.
func (s *Server) sweepWithin(every time.Duration) {
	if every >= time.Duration(s.sweepAt.Load()) {
		return
	}
	s.sweepAt.Store(int64(every))
	select {
	case s.sweepSoon <- struct{}{}:
	default:
	}
}

// watchEvery returns how often to look at the conns of a plan.
func (s *Server) watchEvery(p *plan) time.Duration {
	every := p.timeouts.sweep()
	for i := range p.routes {
		every = min(every, p.routes[i].Timeouts.sweep())
	}
	if s.LogEvery > 0 {
		every = max(minSweep, min(every, s.LogEvery/8))
	}
	return every
}

// look ends c if its time is up. What dials has a bound of its own, and what
// has ended both ways lingers.
func (c *conn) look(at tick) {
	bits := c.bits.Load()
	up, down := c.up.over(c), c.down.over(c)
	if bits&relaying == 0 || up && down {
		return
	}
	t := c.timeouts()
	if t.MaxLifetime > 0 && c.age() >= t.MaxLifetime {
		c.end(MaxLifetime)
		return
	}
	sum := uint32(c.up.moved.In.Load() + c.up.moved.Out.Load() + c.down.moved.In.Load() + c.down.moved.Out.Load())
	if up || down {
		sum++ // the first FIN counts as progress: half-closed begins with it
	}
	if sum != c.sum {
		c.sum = sum
		c.progress(at)
	}
	if c.lookForStalls(at, t.WriteStall) {
		return
	}
	limit, reason := t.Idle, Idle
	if (up || down) && t.HalfClosed > 0 && (limit <= 0 || t.HalfClosed < limit) {
		limit, reason = t.HalfClosed, HalfClosed
	}
	c.lookForRest(at, limit, reason)
}

// over reports whether p has ended, and does not merely move elsewhere.
func (p *pump) over(c *conn) bool {
	return p.marked(c, pumpStopped) && !p.marked(c, pumpYielded)
}

// progress notes that something has moved.
func (c *conn) progress(at tick) {
	c.moved.Store(uint32(at))
	if x := c.stalls(); x != nil {
		x.known = false
	}
}

// idle returns how long nothing has moved.
func (c *conn) idle(at tick) time.Duration { return tick(c.moved.Load()).until(at) }

// restWindow is how long before the time is up the kernel is asked whether the
// peer still takes what it was sent: a part of the time, and at most so much.
const (
	restShare  = 4
	restWindow = time.Minute
)

// lookForRest ends c if nothing has moved for limit, not even in the kernel.
func (c *conn) lookForRest(at tick, limit time.Duration, reason Reason) {
	if limit <= 0 || c.idle(at) < limit-min(limit/restShare, restWindow) {
		return
	}
	x := c.stalling()
	unsent := c.client.Unsent() + c.upstream.Unsent()
	if x.known && unsent < x.unsent {
		c.progress(at)
	}
	x.unsent, x.known = unsent, true
	if c.idle(at) >= limit {
		c.end(reason)
	}
}

// lookForStalls ends c if a direction has bytes that its destination has not
// taken any of for limit. It reports whether it did.
func (c *conn) lookForStalls(at tick, limit time.Duration) bool {
	for i, p := range []*pump{&c.up, &c.down} {
		if !p.blocked(c) {
			if x := c.stalls(); x != nil {
				x.waiting[i].on = false
			}
			continue
		}
		x := c.stalling()
		w := &x.waiting[i]
		_, to := p.sockets(c)
		out, unsent := p.moved.Out.Load(), to.Unsent()
		if w.on && unsent < w.unsent {
			c.progress(at)
		}
		if !w.on || out != w.out || unsent < w.unsent {
			w.since = at
		}
		w.on, w.out, w.unsent = true, out, unsent
		if limit > 0 && w.since.until(at) >= limit {
			c.end(WriteStall)
			return true
		}
	}
	return false
}

// blocked reports whether p has bytes that are not written.
func (p *pump) blocked(c *conn) bool {
	switch {
	case p.over(c):
		return false
	case p.marked(c, pumpStaged):
		return p.marked(c, pumpWriting)
	}
	return p.under(c) > 0
}

// stalls returns what was noted of a conn that was looked at more closely; nil
// if it never was. Only the watch has it.
func (c *conn) stalls() *stalled {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil {
		return nil
	}
	return c.rare.stalled
}

// stalling is stalls for who is about to note something.
func (c *conn) stalling() *stalled {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.unusual()
	if x.stalled == nil {
		x.stalled = new(stalled)
	}
	return x.stalled
}

// end shuts c down, for a reason of our own. It does not wait.
func (c *conn) end(r Reason) { c.node.BeginShutdown(ending(r)) }
