package relay

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
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
	if c.rare != nil && c.rare.err != nil {
		attrs = append(attrs, "err", c.rare.err)
	}
	if c.reason == NoPorts {
		attrs = append(attrs, "hint", "every local port to this upstream is in use")
	}
	c.server().Log.Log(context.Background(), c.level(), "conn ended", attrs...)
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
