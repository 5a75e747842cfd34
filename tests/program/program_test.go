package program

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"relayd/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.ended = "failed: " + fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Skip(args ...any) {
	r.ended = "skipped: " + fmt.Sprint(args...)
	runtime.Goexit()
}

// need runs Need as a test of its own, which may end inside it.
func need(r *recorder, name string) (path string) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		path = Need(r, name)
	}()
	<-ended
	return path
}

func TestNeed(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "there")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)

	for _, test := range []struct {
		name, ci   string
		path, ends string // ends: how the asking test ended, and why
	}{
		{name: "there", ci: "", path: want},
		{name: "there", ci: "true", path: want},
		{name: "nc", ci: "", ends: "skipped: needs the program nc (Debian package netcat-openbsd)"},
		{name: "nc", ci: "false", ends: "skipped: needs the program nc"},
		{name: "socat", ci: "true", ends: "failed: needs the program socat (Debian package socat)"},
	} {
		t.Run(test.name+test.ci, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			r := &recorder{TB: t}
			if path := need(r, test.name); path != test.path {
				t.Errorf("path %q, want %q", path, test.path)
			}
			if !strings.HasPrefix(r.ended, test.ends) || (r.ended == "") != (test.ends == "") {
				t.Errorf("ended %q, want %q", r.ended, test.ends)
			}
		})
	}
}
