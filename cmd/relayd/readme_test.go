package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

// The lines of the README's section on stages are run as they are written, with
// other addresses and another folder than /tmp. What is behind them echoes.

// readmeReplies are what hello becomes on the way through the relay at a port.
// Each line there has to be here.
var readmeReplies = map[string]string{
	"7001": "hello\n",
	"7002": "", // the far end: reached by 7001
	"7003": "hello\n",
	"7004": "hello\n",
	"7005": "hello\n",
	"7006": "goodbye\n",
	"7007": "HELLO\n",
}

var tcpAddress = regexp.MustCompile(`127\.0\.0\.1:([0-9]+)`)

func TestReadmeStages(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### Stages\n")
	section, _, _ = strings.Cut(section, "\n### ")
	dir, err := os.MkdirTemp("", "relayd") // of a path that is short enough for sockets
	if err != nil || !found {
		t.Fatal(err, found)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	echoAt(t, filepath.Join(dir, "8080"))
	ports := make(map[string]bool)
	for line := range strings.Lines(section) {
		command, ok := strings.CutPrefix(line, "    go run ./cmd/relayd ")
		if !ok {
			continue
		}
		ports[tcpAddress.FindStringSubmatch(command)[1]] = true
		command = tcpAddress.ReplaceAllString(command, "unix://"+dir+"/$1")
		startReadme(t, strings.ReplaceAll(command, "/tmp/%c", dir+"/%c"), dir)
	}
	if len(ports) != len(readmeReplies) {
		t.Errorf("there are %d lines, and %d replies are known", len(ports), len(readmeReplies))
	}
	for port, want := range readmeReplies {
		if want == "" {
			continue
		}
		start := time.Now()
		if got := readmeReply(t, filepath.Join(dir, port)); got != want {
			t.Errorf("%s: the answer to hello is %q, want %q", port, got, want)
		}
		if took := time.Since(start); port == "7004" && took < 160*time.Millisecond {
			t.Errorf("%s: the answer took %v", port, took)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if len(files) == 0 {
		t.Error("there is no capture")
	}
}

// startReadme runs relayd until the end of the test, and wants it to end well.
func startReadme(t *testing.T, command, dir string) {
	t.Helper()
	args, err := transform.SplitWords(strings.TrimSpace(command))
	if err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready"+filepath.Base(args[1]))
	cmd := exec.Command(os.Args[0])
	cmd.Args = append(append([]string{"relayd"}, args...), "--ready-file", ready)
	cmd.Dir = "../.."
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("%s: %v\n%s", command, err, &said)
		}
	})
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: it has ended: %v\n%s", command, err, &said)
		case <-timer.C:
			t.Fatalf("%s: it is not ready", command)
		}
	}
}

// readmeReply says hello, finishes, and returns the answer.
func readmeReply(t *testing.T, path string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(got)
}

// echoAt serves at a Unix socket to the end of the test.
func echoAt(t *testing.T, path string) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			got, _ := io.ReadAll(c)
			c.Write(got)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-served })
}
