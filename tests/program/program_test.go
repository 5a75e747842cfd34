package program

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"relayd/tests/leak"
)

func TestMain(m *testing.M) {
	if Role() == "parrot" {
		io.Copy(os.Stdout, os.Stdin)
		return
	}
	leak.Main(m)
}

// A self plays its role until its input ends, or it is killed, also if it stands
// still.
func TestSelf(t *testing.T) {
	leak.Check(t)
	s := StartSelf(t, "parrot")
	io.WriteString(s.In, "hello\n")
	if said, err := s.Out.ReadString('\n'); said != "hello\n" || err != nil {
		t.Errorf("it says %q, %v", said, err)
	}
	if err := s.End(); err != nil {
		t.Errorf("its end: %v", err)
	}
	s = StartSelf(t, "parrot")
	s.Cmd.Process.Signal(syscall.SIGSTOP)
	s.Kill()
	if s.Cmd.ProcessState.Success() {
		t.Error("it has ended well, though it was killed")
	}
}

// What Relayd builds is there while the tests run, and no longer.
func TestRelayd(t *testing.T) {
	path := ""
	code := Run(func() int {
		path = Relayd(t)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		return 7
	})
	if _, err := os.Stat(path); code != 7 || err == nil {
		t.Errorf("%d, and %s is there still", code, path)
	}
}

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
