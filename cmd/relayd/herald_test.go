package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relayd/cmd/relayd/internal/notify"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// A fakeManager is a service manager that writes down what it hears.
type fakeManager struct{ at *net.UnixConn }

// newFakeManager listens at a socket, which it puts into the environment.
func newFakeManager(t *testing.T) *fakeManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "relayd") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	at, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { at.Close() })
	at.SetReadDeadline(time.Now().Add(scriptPatience))
	t.Setenv("NOTIFY_SOCKET", path)
	return &fakeManager{at: at}
}

// next returns the next message.
func (m *fakeManager) next(t *testing.T) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := m.at.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// until reads on until a message comes, and returns those before it.
func (m *fakeManager) until(t *testing.T, message string) (before []string) {
	t.Helper()
	for {
		got := m.next(t)
		if got == message {
			return before
		}
		before = append(before, got)
	}
}

// startEcho starts a relay in front of an echo, and ends it with the test.
func startEcho(t *testing.T) *relay.Server {
	t.Helper()
	s, err := relay.Start(t.Context(), relay.Config{
		Listen: []socket.Address{mustAddress("127.0.0.1:0")}, To: mustAddress("echo:"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abandon(s) })
	return s
}

// hello returns a connection that was served.
func hello(t *testing.T, a socket.Address) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(a.String(), "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(scriptPatience))
	io.WriteString(c, "hello")
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return c
}

// discardLog is a log for nobody.
var discardLog = slog.New(slog.DiscardHandler)

func TestHeraldTellsTheState(t *testing.T) {
	leak.Check(t)
	m := newFakeManager(t)
	s := startEcho(t)
	h := &herald{to: notify.New(), server: s, log: discardLog, statusEvery: 10 * time.Millisecond, drainEvery: 10 * time.Millisecond}
	h.start()
	defer h.end()
	if got := m.next(t); got != "READY=1" {
		t.Errorf("the first word is %q", got)
	}
	m.until(t, "STATUS=0 conns")
	a, b := hello(t, s.Addrs()[0]), hello(t, s.Addrs()[0])
	m.until(t, "STATUS=2 conns")
	h.drain()
	for _, before := range m.until(t, "STOPPING=1") {
		if strings.Contains(before, "draining") {
			t.Errorf("%s before it stops", before)
		}
	}
	m.until(t, "EXTEND_TIMEOUT_USEC=15000000")
	m.until(t, "STATUS=draining: 2 conns left")
	a.Close()
	m.until(t, "STATUS=draining: 1 conn left")
	m.until(t, "EXTEND_TIMEOUT_USEC=15000000") // again and again
	b.Close()
	m.until(t, "STATUS=draining: 0 conns left")
}

// The watchdog hears nothing from what does not live, whatever the process does
// otherwise.
func TestHeraldTellsLife(t *testing.T) {
	leak.Check(t)
	m := newFakeManager(t)
	t.Setenv("WATCHDOG_USEC", "20000") // a sign of life each 10ms
	s := startEcho(t)
	var dead atomic.Bool
	asked := make(chan struct{})
	h := &herald{to: notify.New(), server: s, log: discardLog, statusEvery: time.Hour, drainEvery: time.Hour}
	h.lives = func(ctx context.Context) error {
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if dead.Load() {
			return errors.New("it stands still")
		}
		return s.Alive(ctx)
	}
	h.start()
	defer h.end()
	for range 3 {
		<-asked
		m.until(t, "WATCHDOG=1")
	}
	dead.Store(true)
	for range 3 {
		<-asked
	}
	dead.Store(false)
	m.at.SetReadDeadline(time.Now())
	if n, err := m.at.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes were said for a relay that does not live", n)
	}
	m.at.SetReadDeadline(time.Now().Add(scriptPatience))
	<-asked
	m.until(t, "WATCHDOG=1")
}

// Without a manager nothing runs, and a manager that is gone ends nothing.
func TestHeraldOfNobody(t *testing.T) {
	leak.Check(t)
	t.Setenv("NOTIFY_SOCKET", "")
	s := startEcho(t)
	h := startHerald(notify.New(), s, discardLog)
	h.drain()
	h.end()

	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	var log bytes.Buffer
	h = startHerald(notify.New(), s, slog.New(slog.NewTextHandler(&log, nil)))
	h.end()
	if n := strings.Count(log.String(), "the service manager cannot be told"); n != 1 {
		t.Errorf("%d lines that nobody hears, want 1:\n%s", n, &log)
	}
}

// The whole process: it is ready when it accepts, and stops when it is told to.
func TestNotify(t *testing.T) {
	leak.Check(t)
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	m := newFakeManager(t)
	ready := filepath.Join(t.TempDir(), "ready")
	cmd := exec.Command(relayd, "-l", "127.0.0.1:0", "--ready-file", ready, "--drain-timeout", "1h", "--drain-spread", "1h")
	cmd.Env = append(os.Environ(), "WATCHDOG_USEC=60000000")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // if it has not ended
	m.until(t, "READY=1")
	said := m.until(t, "WATCHDOG=1")
	if len(said) == 0 {
		m.until(t, "STATUS=0 conns")
	}
	text, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err) // it was said before that it is ready
	}
	c := hello(t, mustAddress(strings.TrimSpace(string(text))))
	cmd.Process.Signal(syscall.SIGTERM)
	m.until(t, "STOPPING=1")
	m.until(t, "STATUS=draining: 1 conn left")
	c.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}
