package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A daemon is a relayd that runs as a process of its own, and all that it has said
// so far. Everything of it is in one folder.
type daemon struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	out   spoken
	admin string   // the path of its admin socket
	flags []string // for the commands that ask it
	http  *http.Client
	gone  chan struct{} // closed when it has ended
}

// A spoken is what a program has written, which others may look at meanwhile.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// startDaemon starts one with more arguments, and waits until it accepts.
func startDaemon(t *testing.T, dir string, env []string, args ...string) *daemon {
	t.Helper()
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: dir, admin: filepath.Join(dir, "admin.sock")}
	ready := filepath.Join(dir, "ready")
	d.flags = []string{"--admin", d.admin}
	d.cmd = exec.Command(relayd, append(args, "--admin", d.admin, "--ready-file", ready)...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.gone = make(chan struct{})
	go d.wait()
	t.Cleanup(d.end)
	d.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.admin)
	}, DisableKeepAlives: true}}
	if !within(t, func() bool { return exists(ready) || d.hasEnded() }) || d.hasEnded() {
		t.Fatalf("it is not ready: %s", &d.out)
	}
	return d
}

func (d *daemon) wait() {
	defer close(d.gone)
	d.cmd.Wait()
}

func (d *daemon) hasEnded() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// end ends it at once. All that it says is in out then.
func (d *daemon) end() {
	for !d.hasEnded() { // a second signal may be taken for the first
		d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.gone:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// addrs are where it listens, by the ready file.
func (d *daemon) addrs() []string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "ready"))
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// says waits until it has said something.
func (d *daemon) says(text string) {
	d.t.Helper()
	if !within(d.t, func() bool { return strings.Contains(d.out.String(), text) }) {
		d.t.Fatalf("it does not say %q, but %s", text, &d.out)
	}
}

// run runs a command that asks it, in this process, and returns all that this
// prints.
func (d *daemon) run(args ...string) string {
	d.t.Helper()
	var out bytes.Buffer
	realMain(append(args, d.flags...), &out, &out)
	return out.String()
}

// ask asks the API, and returns the whole answer.
func (d *daemon) ask(method, path, body string, header http.Header) string {
	d.t.Helper()
	q, err := http.NewRequest(method, "http://relayd"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if q.Header = header; header == nil {
		q.Header = make(http.Header)
	}
	answer, err := d.http.Do(q)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	answer.Header.Write(&b)
	io.Copy(&b, answer.Body)
	return answer.Status + "\n" + b.String()
}

// shortDir is a folder for sockets, whose paths are short.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "relayd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
