package relay

import (
	"log/slog"
	"time"
)

// log writes the conn's one line. The keys are stable. c.mu is held.
func (c *conn) log() {
	level := slog.LevelInfo
	attrs := []any{
		"id", c.id(),
		"reason", string(c.reason),
		"first_closer", string(c.first),
		"up_bytes", c.up.in.Load(),
		"down_bytes", c.down.out.Load(),
		"duration", time.Since(c.began).Round(time.Microsecond),
		"client", c.from,
		"listener", c.at,
		"upstream", c.s.To.String(),
	}
	if c.err != nil {
		attrs = append(attrs, "err", c.err)
	}
	switch c.reason {
	case OpenFailed, DialFailed, DialTimeout, StageFailed:
		level = slog.LevelWarn
	case NoPorts:
		level = slog.LevelWarn
		attrs = append(attrs, "hint", "every local port to this upstream is in use")
	}
	c.s.Log.Log(c.ctx, level, "conn ended", attrs...)
}

// stderr logs a line of a program that is one end of the conn.
func (c *conn) stderr(line string) {
	c.s.Log.Info("stderr", "id", c.id(), "line", line)
}
