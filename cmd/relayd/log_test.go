package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// What is no terminal gets text without colours, whatever the environment says.
func TestTextLog(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm-256color")
	var b bytes.Buffer
	log := newLog(&b, "text", slog.LevelInfo)
	log.Debug("hidden")
	log.Info("conn ended", "reason", "eof", "err", errors.New("a b"))
	got := b.String()
	if !strings.HasSuffix(got, "INF conn ended reason=eof err=\"a b\"\n") || strings.Contains(got, "\x1b") || strings.Contains(got, "hidden") {
		t.Errorf("the log is %q", got)
	}
}

func TestJSONLog(t *testing.T) {
	var b bytes.Buffer
	newLog(&b, "json", slog.LevelWarn).Warn("conn ended", "duration", time.Second, "err", errors.New("broken"))
	var line struct {
		Level, Msg, Err string
		Duration        time.Duration
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "WARN" || line.Msg != "conn ended" || line.Err != "broken" || line.Duration != time.Second {
		t.Errorf("the line is %s", &b)
	}
}
