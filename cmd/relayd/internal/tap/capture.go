package tap

import (
	"io"
	"time"

	"relayd/transform/pcapng"
)

// A Capture keeps a stream as a capture file: one TCP stream, from the client to
// the upstream, that begins where the tap did.
type Capture struct {
	conn *pcapng.Conn
}

// NewCapture begins a capture on w.
func NewCapture(w io.Writer, h Header, at time.Time) (*Capture, error) {
	pw, err := pcapng.NewWriter(w)
	if err != nil {
		return nil, err
	}
	c := pw.Conn(at, h.ID, h.Client, h.Upstream)
	return &Capture{c}, pw.Err()
}

// Add adds what an event says. Bytes that the tap has missed leave a gap.
func (c *Capture) Add(e Event) error {
	d := pcapng.Up
	switch e.From {
	case "us":
		return c.conn.Close(e.At)
	case "upstream":
		d = pcapng.Down
	}
	c.conn.Skip(d, e.Missed)
	switch {
	case len(e.Data) > 0:
		return c.conn.Write(d, e.At, e.Data)
	case e.End == "fin":
		return c.conn.Finish(d, e.At)
	}
	return nil
}
