package notify

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A manager is a fake service manager.
type manager struct{ *net.UnixConn }

func listen(t *testing.T, name string) manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return manager{c}
}

// want wants one message.
func (m manager) want(t *testing.T, message string) {
	t.Helper()
	b := make([]byte, 1024)
	m.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := m.Read(b)
	if err != nil || string(b[:n]) != message {
		t.Errorf("the manager heard %q, %v; want %q", b[:n], err, message)
	}
}

func TestMessages(t *testing.T) {
	leak.Check(t)
	names := map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@relayd-test-" + strconv.Itoa(os.Getpid()),
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			them := listen(t, name)
			t.Setenv("NOTIFY_SOCKET", name)
			t.Setenv("WATCHDOG_USEC", "3000000")
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			m := New()
			if d := m.Watchdog(); d != 3*time.Second {
				t.Errorf("the watchdog waits %v, want 3s", d)
			}
			for _, v := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
				if _, ok := os.LookupEnv(v); ok {
					t.Errorf("%s is still there, for children to find", v)
				}
			}
			said := func(err error) {
				t.Helper()
				if err != nil {
					t.Error(err)
				}
			}
			said(m.Ready())
			them.want(t, "READY=1")
			said(m.Status("3 conns\nREADY=0"))
			them.want(t, "STATUS=3 conns")
			said(m.Status("3 conns"))
			said(m.Alive())
			them.want(t, "WATCHDOG=1") // nothing was said twice
			said(m.Stopping())
			them.want(t, "STOPPING=1")
			said(m.Extend(1500 * time.Millisecond))
			them.want(t, "EXTEND_TIMEOUT_USEC=1500000")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"", "relative", "vsock:2:1234"} {
		t.Setenv("NOTIFY_SOCKET", name)
		m := New()
		if m != nil {
			t.Errorf("%q is somebody", name)
		}
		if m.Ready() != nil || m.Alive() != nil || m.Stopping() != nil || m.Status("x") != nil || m.Extend(1) != nil || m.Watchdog() != 0 {
			t.Errorf("%q: nobody answers", name)
		}
	}
	path := filepath.Join(t.TempDir(), "none")
	t.Setenv("NOTIFY_SOCKET", path)
	m := New()
	if err := m.Ready(); err == nil || !strings.HasPrefix(err.Error(), "notify: ") || !strings.Contains(err.Error(), path) {
		t.Errorf("to a socket that is not there: %v", err)
	}
	// What was not heard is said again.
	for try := range 2 {
		if m.Status("x") == nil {
			t.Errorf("try %d was heard", try+1)
		}
	}
}

// A manager that does not read must not hold the service up for ever.
func TestManagerThatStandsStill(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "full")
	listen(t, path)
	t.Setenv("NOTIFY_SOCKET", path)
	m := New()
	for range 10000 {
		if err := m.Ready(); err != nil {
			if !os.IsTimeout(err) && !strings.Contains(err.Error(), "timeout") {
				t.Error(err)
			}
			return
		}
	}
	t.Error("10000 messages had room")
}

func TestWatchdogTime(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"1000", me, time.Millisecond}, {"1000", "", time.Millisecond}, {"1000", "1" + me, 0},
		{"", me, 0}, {"0", me, 0}, {"-5", me, 0}, {"x", me, 0}, {"9223372036854775807", me, 0},
	} {
		if d := watchdogTime(tt.usec, tt.pid); d != tt.want {
			t.Errorf("%q for %q: %v, want %v", tt.usec, tt.pid, d, tt.want)
		}
	}
}
