package transform

import (
	"context"
	"log/slog"

	"relayd/lifetime"
)

// A Site is where a chain is open, as far as its stages may know. Most need
// none of it: what a stage does to the bytes does not depend on it.
type Site struct {
	Conn      string // the conn's id, for names of files and lines of the log
	Direction string // "up", from the client to the upstream, or "down"
	// Log gets what stages have to say beside the bytes: a program's standard
	// error, a sum at the end. Nil discards. A stage must not say more than a
	// line for each event of its stream's life; what it says for each chunk is
	// its user's choice (hexdump). Each line has the keys id and direction.
	Log *slog.Logger
	// Owner is the resource whose children a stage's own resources become (a
	// program, a module's instance), so that a shutdown of the conn ends
	// them. Nil makes them roots.
	Owner *lifetime.Node
}

// nowhere is the site of a chain that was opened without one.
var nowhere = &Site{Log: slog.New(slog.DiscardHandler)}

// say writes a line to the log.
func (s *Site) say(level slog.Level, message string, args ...any) {
	if s.Conn != "" {
		args = append([]any{"id", s.Conn, "direction", s.Direction}, args...)
	}
	s.Log.Log(context.Background(), level, message, args...)
}

// orNowhere makes a site that stages can use without asking.
func (s *Site) orNowhere() *Site {
	switch {
	case s == nil:
		return nowhere
	case s.Log == nil:
		with := *s
		with.Log = nowhere.Log
		return &with
	}
	return s
}
