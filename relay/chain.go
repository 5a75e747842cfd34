package relay

import "relayd/transform"

// A stage with a program behind it may wait for something else than its source.
// So whoever makes the source of a chain fail also cuts the chain.

// opened notes where p's chain is open.
func (p *pump) opened(c *conn, at *transform.Site) {
	c.mu.Lock()
	c.unusual().sites[p.index(c)] = at
	dead := c.dead
	x := c.ownChains()
	late := x != nil && x.of[p.index(c)].runs < x.of[p.index(c)].asked
	c.mu.Unlock()
	if late { // it was to let go before it could be told
		at.Yield()
	}
	// Before it could be cut; who only finishes drops the source, and cuts nothing.
	if dead || p.marked(c, dstDropped) {
		at.Cut()
	}
}

// cutChain cuts p's chain, if it has one, from any goroutine. Both halves were
// dropped, or are shut down with the conn.
func (p *pump) cutChain(c *conn) {
	c.mu.Lock()
	var at *transform.Site
	if c.rare != nil {
		at = c.rare.sites[p.index(c)]
	}
	c.mu.Unlock()
	if at != nil {
		at.Cut()
	}
}

// closeChain closes p's chain. If src has not ended, or not for the chain, nobody
// reads it any more: a stage has failed or has had enough, or the destination has
// failed. Then it is dropped first, so that a stage that is reading it on a
// goroutine of its own stops; what else comes is thrown away.
func (p *pump) closeChain(c *conn, src *counted, at *transform.Site, closeAll func() error) {
	if !src.ended.Load() || src.yielded.Load() && !at.Ended() {
		p.dropSrc(c)
	}
	closeAll()
	c.chainClosed(p, at)
}

// index returns p's place in pairs of up and down.
func (p *pump) index(c *conn) int {
	if p == &c.up {
		return 0
	}
	return 1
}
