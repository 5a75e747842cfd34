package main

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"relayd/cmd/relayd/internal/admin"
)

// At the place that nobody has chosen the first relayd is served; the second one
// goes on without, and says why. What was asked for and cannot be had is an error.
func TestOpenDefaultAdmin(t *testing.T) {
	place := filepath.Join(t.TempDir(), "relayd.sock")
	was := adminDefault
	adminDefault = func() (string, error) { return place, nil }
	t.Cleanup(func() { adminDefault = was })
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))

	first, err := openAdmin(&adminFlags{}, new(confinement).own, log)
	if err != nil || first == nil || text.Len() > 0 {
		t.Fatalf("the first: %v, %v, %s", first, err, &text)
	}
	defer first.Close()
	second, err := openAdmin(&adminFlags{}, new(confinement).own, log)
	if err != nil || second != nil {
		t.Errorf("the second: %v, %v", second, err)
	}
	if s := text.String(); !strings.Contains(s, "level=WARN") || !strings.Contains(s, place) || !strings.Contains(s, "--admin") {
		t.Errorf("it says %s", s)
	}

	var chosen adminFlags
	if err := chosen.at.Set(place); err != nil {
		t.Fatal(err)
	}
	if s, err := openAdmin(&chosen, new(confinement).own, log); err == nil {
		s.Close()
		t.Error("what was asked for is taken, and that is no error")
	}

	text.Reset()
	adminDefault = func() (string, error) { return "", admin.ErrNoPlace }
	if s, err := openAdmin(&adminFlags{}, new(confinement).own, log); s != nil || err != nil || !strings.Contains(text.String(), "level=INFO") {
		t.Errorf("without a place: %v, %v, %s", s, err, &text)
	}
	var exit *exitError
	if _, err := (&clientFlags{}).open(); !errors.As(err, &exit) || exit.code != exitUsage {
		t.Errorf("RELAYD_ADMIN=none: %v", err)
	}
	t.Setenv("RELAYD_ADMIN", "unix://"+place+".other")
	c, err := (&clientFlags{}).open()
	if err != nil || c.At() != "unix://"+place+".other" {
		t.Errorf("RELAYD_ADMIN: %v, %v", c, err)
	}
}
