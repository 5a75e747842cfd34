package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
)

// Started as root, relayd becomes the user before it accepts, with all its
// threads; its sockets are that user's, and so are the programs that it runs. Who
// is not root cannot ask for that.
func TestUser(t *testing.T) {
	leak.Check(t)
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "relayd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if os.Getuid() != 0 {
		out, err := exec.Command(relayd, "-l", "127.0.0.1:0", "--user", "54321:54321").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "only root can become another user\nhint: ") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	const uid, gid = 54321, 54322
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	path, ready, admin := filepath.Join(dir, "s"), filepath.Join(dir, "ready"), filepath.Join(dir, "admin")
	cmd := exec.Command(relayd, "-l", path, "-t", "exec:///bin/sh?arg=-c&arg=id -u; id -g; id -G", "--user", fmt.Sprintf("%d:%d", uid, gid),
		"--ready-file", ready, "--admin", admin)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(scriptPatience, func() { cmd.Process.Kill() })
	defer late.Stop()
	c := dialActivated(t, "unix", path)
	c.(*net.UnixConn).CloseWrite()
	got, err := io.ReadAll(c)
	c.Close()
	if want := fmt.Sprintf("%d\n%d\n%d\n", uid, gid, gid); string(got) != want {
		t.Errorf("a program runs as %q, %v, want %q", got, err, want)
	}
	awaitFile(t, ready)
	for name, mode := range map[string]os.FileMode{path: 0o660, admin: 0o600, ready: 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		owner := info.Sys().(*syscall.Stat_t)
		if owner.Uid != uid || owner.Gid != gid || info.Mode().Perm() != mode {
			t.Errorf("%s is %d:%d's, mode %v", name, owner.Uid, owner.Gid, info.Mode())
		}
	}
	if out, err := exec.Command(relayd, "ps", "--admin", admin).CombinedOutput(); err != nil {
		t.Errorf("ps: %v: %s", err, out)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, name string) {
	t.Helper()
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !exists(name) {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%s does not come", name)
		}
	}
}
