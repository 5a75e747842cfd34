package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"relayd/socket"
)

// A logbook has the lines of conns that have ended written by somebody else: a
// log that stands still, a full pipe for one, must not stop an event loop.
type logbook struct {
	lines chan *conn
	lost  atomic.Int64 // lines that found no room
}

// maxLines is how many lines wait for a log that is slow.
const maxLines = 4096

// add takes the line of a conn that has ended.
func (b *logbook) add(c *conn) {
	if !c.server().Log.Enabled(context.Background(), c.level()) {
		return
	}
	select {
	case b.lines <- c:
	default:
		b.lost.Add(1)
	}
}

// write writes lines until the last conn has ended.
func (b *logbook) write(s *Server) {
	for c := range b.lines {
		c.log()
		if n := b.lost.Swap(0); n > 0 {
			s.Log.Warn("conns ended that are not logged: the log is slower than they", "conns", n)
		}
	}
}

// log writes the conn's one line. The keys are stable. Nobody else has the conn.
func (c *conn) log() {
	attrs := []any{
		"id", c.id(),
		"reason", c.reason.String(),
		"first_closer", c.first.String(),
		"up_bytes", c.up.moved.In.Load(),
		"down_bytes", c.down.moved.Out.Load(),
		"duration", c.began.Round(time.Microsecond),
		"client", c.from,
		"listener", c.a.at,
		"upstream", c.server().To.String(),
	}
	up, down := c.up.lost(c), c.down.lost(c)
	if up+down > 0 {
		attrs = append(attrs, "truncated", true, "lost_up", up, "lost_down", down)
	}
	if c.rare != nil && c.rare.err != nil {
		attrs = append(attrs, "err", c.rare.err)
	}
	if c.reason == NoPorts {
		attrs = append(attrs, "hint", "every local port to this upstream is in use")
	}
	c.server().Log.Log(context.Background(), c.level(), "conn ended", attrs...)
}

// lost returns how many bytes p has read that its destination did not get, as far
// as the system tells: those that were not written, and those of a connection
// that was given up with bytes under way.
func (p *pump) lost(c *conn) int64 {
	n := p.moved.In.Load() - p.moved.Out.Load()
	if len(c.server().Up)+len(c.server().Down) > 0 {
		n = 0 // what goes in is not what comes out
	}
	var cut *socket.TruncatedError
	if _, to := p.sockets(c); to.Resource().State() != 0 && errors.As(to.Resource().Err(), &cut) {
		n += int64(cut.Unsent)
	}
	return n
}

// level is that of the conn's line.
func (c *conn) level() slog.Level {
	switch c.reason {
	case OpenFailed, DialFailed, DialTimeout, StageFailed, NoPorts:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// stderr logs a line of a program that is one end of the conn.
func (c *conn) stderr(line string) {
	c.server().Log.Info("stderr", "id", c.id(), "line", line)
}
