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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == noReason {
		c.reason = EOF
	}
	if c.first == nobody {
		c.first = Us
	}
	if c.reason == Drained {
		c.server().cut.Add(1)
	}
	c.began = time.Since(epoch) - c.began
	c.server().ledger.close(c)
	if r := c.server().restless; r != nil {
		r.remove(c)
	}
	c.server().book.add(c)
}
