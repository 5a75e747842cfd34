package relay

import (
	"time"

	"relayd/lifetime"
)

// The end of a conn is the release of all that it was made of.

// ended logs the conn, when all of it is released.
func (c *conn) ended() {
	if c.node.End() == lifetime.ShutDown {
		c.shutDown(c.node.Err()) // if nobody has noticed it before
	}
	s := c.server()
	if c.bits.Load()&hasTarget != 0 && c.down.moved.In.Load() == 0 && c.refusedByUpstream() {
		c.path.Load().target.Reset() // it has not said a word
	}
	c.leavesTarget()
	c.path.Load().leave(c.bits.Load(), c.source())
	if s.restless != nil {
		s.restless.remove(c) // which may hold c up, to move it: not under its lock
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == noReason {
		c.reason = EOF
	}
	if c.first == nobody {
		c.first = Us
	}
	if c.reason == Drained {
		s.cut.Add(1)
	}
	c.began = time.Since(epoch) - c.began
	c.bits.Or(isOver)
	if c.rare != nil {
		for _, t := range c.rare.taps {
			t.finish(c.reason.String())
		}
	}
	s.ledger.close(c)
	s.book.add(line{c: c})
}

// refusedByUpstream reports whether it was the upstream that has ended the conn by
// an error.
func (c *conn) refusedByUpstream() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason == ResetUpstream || c.reason == TLSFailed && c.first == Upstream
}
