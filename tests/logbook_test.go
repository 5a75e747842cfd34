package tests

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of these tests. It is far more than anything here
// takes on a loaded machine: only what hangs waits it out.
const patience = 20 * time.Second

// A record is one line of a log.
type record struct {
	time    time.Time
	level   slog.Level
	message string
	attrs   map[string]slog.Value
}

// text returns an attribute as a text log would show it, "" if there is none.
func (r record) text(key string) string {
	v, ok := r.attrs[key]
	if !ok {
		return ""
	}
	return v.String()
}

// A logbook is a log that a test can wait for. It is a slog.Handler.
type logbook struct {
	mu      sync.Mutex
	records []record
	changed chan struct{} // closed at the next record
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps one record.
func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	kept := record{r.Time, r.Level, r.Message, make(map[string]slog.Value)}
	r.Attrs(func(a slog.Attr) bool {
		kept.attrs[a.Key] = a.Value
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, kept)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (b *logbook) WithAttrs([]slog.Attr) slog.Handler {
	panic("relay logs with attributes at the line")
}
func (b *logbook) WithGroup(string) slog.Handler { panic("relay logs without groups") }

// find returns the records with a message so far, and what is closed at the
// next record of any message.
func (b *logbook) find(message string) (found []record, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.message == message {
			found = append(found, r)
		}
	}
	return found, b.changed
}

// wait returns the first n records with a message, when there are as many.
func (b *logbook) wait(t *testing.T, message string, n int) []record {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		found, changed := b.find(message)
		if len(found) >= n {
			return found[:n]
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("log: %d lines %q after %v, want %d", len(found), message, patience, n)
		}
	}
}

// ends waits for n conns to end and returns how often each pair of reason and
// first closer came, as in "eof client".
func (b *logbook) ends(t *testing.T, n int) map[string]int {
	t.Helper()
	count := make(map[string]int)
	for _, r := range b.wait(t, "conn ended", n) {
		count[r.text("reason")+" "+r.text("first_closer")]++
	}
	return count
}
