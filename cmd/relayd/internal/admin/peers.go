package admin

// The connections of a listener of the API's are bounded, and so are those that
// have no request under way: the one that has had none for longest makes room for a
// new one. As there are more connections than requests, somebody can, however many
// ask slowly, or do not read what they were answered.

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxClients is how many connections each listener of the API's has at once.
const maxClients = 128

// The peers are the connections of a listener.
type peers struct {
	mu   sync.Mutex
	list []*peer // in the order in which their last request was over
}

// A peer is a connection of a listener's.
type peer struct {
	net.Conn
	of     *peers
	asking bool // a request is under way
	long   bool // whose answer goes on
	// stuck is since when a Write has waited, by the process's clock; 0: none does.
	stuck atomic.Int64
}

// epoch is when that clock began.
var epoch = time.Now()

// Write writes, and lets others know for how long it has waited.
func (c *peer) Write(p []byte) (int, error) {
	c.stuck.Store(int64(time.Since(epoch)))
	defer c.stuck.Store(0)
	return c.Conn.Write(p)
}

// hold takes a connection, or closes it and returns nil if all others are busy.
func (h *peers) hold(c net.Conn) net.Conn {
	h.mu.Lock()
	var idle *peer
	if len(h.list) >= maxClients {
		if i := slices.IndexFunc(h.list, func(c *peer) bool { return !c.asking }); i >= 0 {
			idle = h.list[i]
			h.drop(idle)
		}
	}
	taken := (*peer)(nil)
	if len(h.list) < maxClients {
		taken = &peer{Conn: c, of: h}
		h.list = append(h.list, taken)
	}
	h.mu.Unlock()
	if idle != nil {
		idle.Conn.Close()
	}
	if taken == nil {
		c.Close()
		return nil
	}
	return taken
}

// Close closes the connection, and makes room for another.
func (c *peer) Close() error {
	c.of.mu.Lock()
	c.of.drop(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// drop takes a connection out, with h.mu held, and reports whether it was in.
func (h *peers) drop(c *peer) bool {
	i := slices.Index(h.list, c)
	if i < 0 {
		return false
	}
	h.list = slices.Delete(h.list, i, i+1)
	return true
}

// turned is told by http.Server what a connection does.
func (h *peers) turned(nc net.Conn, to http.ConnState) {
	c, ok := nc.(*peer)
	if !ok || to != http.StateIdle {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last(c)
}

// last makes a connection the last to make room, with h.mu held.
func (h *peers) last(c *peer) {
	if h.drop(c) { // in one step, or another one would take the room
		h.list = append(h.list, c)
	}
}

// asks notes that a request of the connection is under way, or is no more. It is not
// idle yet, then: http.Server has some of the answer, and sends it now.
func (c *peer) asks(is, long bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.asking, c.long = is, long
	if !is {
		c.of.last(c)
	}
}

// cutStuck closes the connection that has not taken its answer for longest, of those
// with a request under way whose answer does not go on, if that is longer than
// stuckTime.
func (h *peers) cutStuck() {
	var most *peer
	since := int64(time.Since(epoch) - stuckTime)
	h.mu.Lock()
	for _, c := range h.list {
		if at := c.stuck.Load(); c.asking && !c.long && at != 0 && at <= since {
			most, since = c, at
		}
	}
	if most != nil {
		h.drop(most) // or the next one to ask would choose it, too
	}
	h.mu.Unlock()
	if most != nil {
		most.Conn.Close()
	}
}
