package pcapng

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// A Direction says which way bytes went.
type Direction uint8

// The directions.
const (
	Up   Direction = iota // from the client to the upstream
	Down                  // from the upstream to the client
)

const (
	// maxSegment is how many bytes a packet carries at most: with its headers
	// it has to stay below 64 KiB.
	maxSegment = 65400

	// ackEvery is how many bytes go unacknowledged before the other side says
	// that it has them: less than the window that the handshake grants.
	ackEvery = 256 << 10
)

// errConnClosed is the error of a Write after Close.
var errConnClosed = fmt.Errorf("the conn's capture is closed: %w", net.ErrClosed)

// A Conn is one conn in a capture: a TCP stream.
type Conn struct {
	w       *Writer
	comment string

	// The rest is under w.mu.
	ends   [2]endpoint // by the Direction of what they send
	closed bool
}

// An endpoint is one end of a stream, with what it sends.
type endpoint struct {
	addr     address
	next     uint32 // the sequence number of its next byte
	acked    uint32 // up to where the other end has acknowledged
	finished bool   // its FIN is out
}

// Conn begins a conn, with a handshake. client and upstream are the addresses of
// both sides, host:port or anything else: see the package comment. name is what
// the comment at its first packet begins with. When the handshake cannot be
// written, Writer.Err says why, and so does every Write to the conn.
func (w *Writer) Conn(at time.Time, name, client, upstream string) *Conn {
	comment := fmt.Sprintf("%s: client %s, upstream %s", name, client, upstream)
	if len(comment) > maxComment {
		comment = comment[:maxComment]
	}
	c := &Conn{w: w, comment: strings.ToValidUTF8(comment, "?")}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.ends[Up].addr, c.ends[Down].addr = w.addresses(client, upstream)
	c.begin(at)
	return c
}

// begin writes the handshake.
func (c *Conn) begin(at time.Time) {
	for d := range c.ends {
		e := &c.ends[d]
		e.next, e.finished = c.w.isn(), false
		e.acked = e.next + 1
	}
	c.send(Up, at, flagSYN, nil)
	c.send(Down, at, flagSYN|flagACK, nil)
	c.send(Up, at, flagACK, nil)
}

// Write adds bytes that went in direction d at a moment. It returns the error
// that has ended the capture, of this write or of one before.
//
// Bytes after the direction's end begin the stream anew: a relay can end a chain
// of stages, and go on with another.
func (c *Conn) Write(d Direction, at time.Time, p []byte) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.closed {
		return errConnClosed
	}
	if c.ends[d].finished {
		c.again(d, at)
	}
	for len(p) > 0 && c.w.err == nil {
		n := min(len(p), maxSegment)
		flags := flagACK
		if n == len(p) {
			flags |= flagPSH
		}
		c.send(d, at, flags, p[:n])
		p = p[n:]
		if e := &c.ends[d]; e.next-e.acked >= ackEvery {
			c.send(1-d, at, flagACK, nil)
		}
	}
	return c.w.err
}

// again begins the stream anew. The direction that had finished goes on; the other
// has in the new stream finished if it had in the old one.
func (c *Conn) again(d Direction, at time.Time) {
	other := c.ends[1-d].finished
	c.begin(at)
	if other {
		c.finish(1-d, at)
	}
}

// Finish adds the end of a direction: a FIN, and its acknowledgement.
func (c *Conn) Finish(d Direction, at time.Time) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	switch {
	case c.closed:
		return errConnClosed
	case !c.ends[d].finished:
		c.finish(d, at)
	}
	return c.w.err
}

func (c *Conn) finish(d Direction, at time.Time) {
	c.send(d, at, flagFIN|flagACK, nil)
	c.ends[d].finished = true
	c.send(1-d, at, flagACK, nil)
}

// Close ends the conn: with a RST unless both directions have finished. It comes
// from a side that has not, from the client if neither has.
func (c *Conn) Close(at time.Time) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.closed {
		return c.w.err
	}
	switch {
	case !c.ends[Up].finished:
		c.send(Up, at, flagRST|flagACK, nil)
	case !c.ends[Down].finished:
		c.send(Down, at, flagRST|flagACK, nil)
	}
	c.closed = true
	delete(c.w.live, [2]address{c.ends[Up].addr, c.ends[Down].addr})
	return c.w.err
}

// send writes one packet, from the end that sends in direction d. w.mu is held.
func (c *Conn) send(d Direction, at time.Time, flags uint8, data []byte) {
	from, to := &c.ends[d], &c.ends[1-d]
	h := header{from: from.addr, to: to.addr, seq: from.next, flags: flags, scale: flags&flagSYN != 0}
	if flags&flagACK != 0 {
		h.ack = to.next
		to.acked = to.next
	}
	comment := ""
	if flags == flagSYN {
		comment = c.comment
	}
	b := c.w.beginPacket(at, h.size()+len(data))
	c.w.endPacket(h.append(b, data), comment)
	from.next += uint32(len(data))
	if flags&(flagSYN|flagFIN) != 0 {
		from.next++
	}
}
