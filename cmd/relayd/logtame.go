package main

// What stands in the log is often somebody else's words: names, addresses, what
// a program has written to stderr. On a terminal they are to be read and not
// obeyed, and in a file each record is one line.

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"relayd/cmd/relayd/internal/screen"
)

// A tameHandler hands on records whose texts are clean.
type tameHandler struct{ slog.Handler }

func (h tameHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, screen.Clean(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(tame(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h tameHandler) WithAttrs(list []slog.Attr) slog.Handler {
	return tameHandler{h.Handler.WithAttrs(tameAll(list))}
}

func (h tameHandler) WithGroup(name string) slog.Handler {
	return tameHandler{h.Handler.WithGroup(screen.Clean(name))}
}

func tameAll(list []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(list))
	for i, a := range list {
		clean[i] = tame(a)
	}
	return clean
}

// tame returns an attribute without what the handler of texts would print as it
// is, or leave out. It quotes the rest.
func tame(a slog.Attr) slog.Attr {
	a.Key = screen.Clean(a.Key)
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindGroup:
		a.Value = slog.GroupValue(tameAll(a.Value.Group())...)
	case slog.KindString:
		if s := a.Value.String(); strings.ContainsFunc(s, isSteering) {
			a.Value = slog.StringValue(screen.Clean(s))
		}
	case slog.KindAny:
		if a.Value.Any() == nil {
			break
		}
		if s := fmt.Sprintf("%+v", a.Value.Any()); strings.ContainsFunc(s, isSteering) {
			a.Value = slog.StringValue(screen.Clean(s))
		}
	}
	return a
}

// isSteering reports whether the handler of texts does not quote a sign.
func isSteering(r rune) bool {
	return r == 0x1b || r >= 0x7f && r < 0xa0 || r == utf8.RuneError
}
