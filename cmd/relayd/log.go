package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"relayd/cmd/relayd/internal/screen"
)

// newLog returns the log: JSON, or text that is coloured on a terminal unless
// NO_COLOR is set.
func newLog(w io.Writer, format string, level slog.Level) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(screen.EscapeJSON(w), &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tameHandler{tint.NewTextHandler(w, &tint.Options{
		Level:      level,
		TimeFormat: time.StampMilli,
		NoColor:    !colour(w),
	})})
}

// colour reports whether w is a terminal whose user wants colours.
func colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
