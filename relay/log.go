package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"relayd/socket"
)

// A line is one of a conn's in the log.
type line struct {
	c     *conn
	event logEvent
	info  *ConnInfo // of a conn that lives, as it was when it was looked at
	// of connections that became no conn:
	s       *Server
	refused *refusedLine
}

// A logEvent is what a line is about.
type logEvent uint8

const (
	hasEnded logEvent = iota
	wasAccepted
	lives
	wasRefused
)

// log writes the line. The keys are stable.
func (l line) log() {
	switch l.event {
	case hasEnded:
		l.c.log()
	case wasAccepted:
		l.c.server().Log.Debug("conn accepted", "id", l.c.id(), "client", l.c.from, "listener", l.c.path.Load().entry.Name)
	case lives:
		l.c.server().logLiving(l.info)
	case wasRefused:
		l.refused.log(l.s.Log)
	}
}

// logLiving writes the line of a conn that lives.
func (s *Server) logLiving(i *ConnInfo) {
	s.Log.Info("conn lives",
		"id", i.ID,
		"state", string(i.State),
		"idle", i.Idle,
		"up_bytes", i.Up.In,
		"down_bytes", i.Down.Out,
		"duration", i.Age.Round(time.Microsecond),
		"client", i.Client,
		"listener", i.Listener,
		"route", i.Route,
		"upstream", i.Upstream,
	)
}

// LogConns writes a line about each conn that lives, the oldest first, whatever
// LogRate is. It waits for the log.
func (s *Server) LogConns() {
	list := s.Conns()
	for i := range list {
		s.logLiving(&list[i])
	}
}

// server is whose line it is.
func (l line) server() *Server {
	if l.c == nil {
		return l.s
	}
	return l.c.server()
}

// level is that of the line.
func (l line) level() slog.Level {
	switch l.event {
	case wasAccepted:
		return slog.LevelDebug
	case lives:
		return slog.LevelInfo
	case wasRefused:
		return slog.LevelWarn
	}
	return l.c.level()
}

// logLife has a line written about a conn that lives, once in every period of
// its life: if one has ended after before, when the watch last came by. Both
// are of the process's clock.
func (c *conn) logLife(before, now, every time.Duration) {
	if !c.server().Log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	c.mu.Lock()
	began, over := c.began, c.bits.Load()&isOver != 0
	c.mu.Unlock()
	if over || periods(now-began, every) == periods(before-began, every) {
		return
	}
	i := c.info(tick(now / tickLength))
	i.Age = now - began // if it has ended by now, info did not know it
	c.server().book.add(line{c: c, event: lives, info: &i})
}

// periods returns how many have passed at an age, which may lie before the
// beginning.
func periods(age, every time.Duration) int64 { return int64(max(age, 0) / every) }

// log writes the line of the conn's end. Nobody else has the conn but those who have
// found it before: see Tap.
func (c *conn) log() {
	p := c.path.Load()
	address, target := c.where()
	attrs := []any{
		"id", c.id(),
		"reason", c.reason.String(),
		"first_closer", c.first.String(),
		"up_bytes", c.up.moved.In.Load(),
		"down_bytes", c.down.moved.Out.Load(),
		"duration", c.began.Round(time.Microsecond),
		"client", c.clientAddr(),
		"listener", p.entry.Name,
		"route", p.route.Name,
		"upstream", address,
	}
	if target != address && target != "" {
		attrs = append(attrs, "target", target)
	}
	up, down := c.up.lost(c), c.down.lost(c)
	if up+down > 0 {
		attrs = append(attrs, "truncated", true, "lost_up", up, "lost_down", down)
	}
	if err := c.wrong(); err != nil {
		attrs = append(attrs, "err", err)
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
	n := int64(0)
	if !p.marked(c, pumpStaged) { // where what goes in is not what comes out
		n = p.under(c)
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
	case OpenFailed, DialFailed, DialTimeout, StageFailed, NoPorts, NoUpstream, QueueFull, TLSFailed:
		return slog.LevelWarn
	case NoPreface: // those who look whether we are there come all the time
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// stderr logs a line of a program that is one end of the conn.
func (c *conn) stderr(line string) {
	c.server().Log.Info("stderr", "id", c.id(), "line", line)
}
