package main

import (
	"bytes"
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
	"relayd/tests/program"
)

// Started by systemd, with a TCP socket and a Unix socket under their names: the
// client that has caused the start is the first to be served, and the socket file
// is systemd's, also after the end.
func TestSystemdSockets(t *testing.T) {
	activate := program.Need(t, "systemd-socket-activate")
	leak.Check(t)
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().String()
	free.Close()
	dir, err := os.MkdirTemp("", "relayd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")

	cmd := exec.Command(activate, "-l", port, "-l", path, "--fdname=web:local",
		relayd, "-l", "systemd://local", "-l", "systemd://web", "-t", "echo:")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // if it has not ended
	late := time.AfterFunc(scriptPatience, func() { cmd.Process.Kill() })
	defer late.Stop()
	for range 2 {
		for _, at := range [][2]string{{"tcp", port}, {"unix", path}} {
			c := dialActivated(t, at[0], at[1])
			io.WriteString(c, "hello "+at[0])
			c.(interface{ CloseWrite() error }).CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != "hello "+at[0] {
				t.Errorf("%s: %q, %v", at[0], got, err)
			}
			c.Close()
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	for line := range strings.Lines(log.String()) {
		tcp, web := strings.Contains(line, "client=127.0.0.1:"), strings.Contains(line, "listener=systemd://web")
		if strings.Contains(line, "conn ended") && tcp != web {
			t.Errorf("served under the other's name: %s", line)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("systemd's socket file: %v", err)
	}
}

// dialActivated dials as soon as somebody listens.
func dialActivated(t *testing.T, network, address string) net.Conn {
	t.Helper()
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial(network, address)
		if err == nil {
			c.SetDeadline(time.Now().Add(scriptPatience))
			return c
		}
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatal(err)
		}
	}
}
