package pcapng

// maxSkip bounds the gap that shows: sequence numbers wrap, and half of them
// would be taken for the past.
const maxSkip = 1 << 30

// Skip leaves a gap where n bytes went in direction d that nobody has seen.
// Readers show it as a segment that was not captured. A longer one than 1 GiB
// shows as that.
func (c *Conn) Skip(d Direction, n int64) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if n > 0 && !c.closed {
		c.ends[d].next += uint32(min(n, maxSkip))
	}
}
