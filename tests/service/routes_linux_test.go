package service

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/program"
)

// manyRoutes is a file with so many listeners, routes and upstreams, all of which
// lead to one target, and an idle timeout.
func manyRoutes(t *testing.T, path string, n int, to, idle string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nlisteners:\n")
	for i := range n {
		fmt.Fprintf(&b, "  l%d:\n    on: 127.0.0.1:0\n    route: r%d\n    deny: [10.0.0.0/8, 192.168.0.0/16]\n    limits: {max-conns: 1000}\n", i, i)
	}
	b.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  r%d:\n    upstream: u%d\n    timeouts: {idle: %s}\n", i, i, idle)
	}
	b.WriteString("upstreams:\n")
	for i := range n {
		fmt.Fprintf(&b, "  u%d:\n    targets: [{address: %q, weight: 2}, 127.0.2.9:%d]\n    balance: first\n    check: {every: 1m}\n", i, to, i+1)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A thousand routes are read in less than a second of the processor, and so is all
// that is to be done until relayd serves them; so are others instead. (The clock would tell more of what
// else the machine does.)
func TestThousandRoutes(t *testing.T) {
	const n = 1000
	x := startTarget(t, "one", "127.0.2.1")
	file := filepath.Join(t.TempDir(), "relayd.yaml")
	manyRoutes(t, file, n, x.addr, "1h")
	check := exec.Command(program.Relayd(t), "check", "-c", file)
	if said := output(t, check); !strings.Contains(said, "ok: 1000 listeners, 1000 routes, 1000 upstreams") {
		t.Errorf("check says %s", said)
	}
	inTime(t, "check", check.ProcessState.UserTime()+check.ProcessState.SystemTime())

	began := time.Now()
	p, addrs := relayd(t, file, nil, nil)
	t.Logf("it accepts after %v", time.Since(began))
	start := worked(t, p.cmd.Process.Pid)
	inTime(t, "run", start)
	manyRoutes(t, file, n, x.addr, "2h")
	began = time.Now()
	p.cmd.Process.Signal(syscall.SIGHUP)
	if line := p.saying(t, " reloaded"); !strings.Contains(line, " and 980 more") || len(line) > 1000 {
		t.Errorf("it says %s", line)
	}
	t.Logf("it is said after %v", time.Since(began))
	inTime(t, "reload", worked(t, p.cmd.Process.Pid)-start)
	if len(addrs) != n {
		t.Fatalf("it listens at %d addresses", len(addrs))
	}
	for i := 0; i < n; i += 37 {
		if at, err := ask(i, addrs[i]); at != x.addr {
			t.Fatalf("listener %d: %q, %v", i, at, err)
		}
	}
	began = time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	t.Logf("it ends after %v", time.Since(began))
	if !p.cmd.ProcessState.Success() {
		t.Errorf("relayd: %v\n%s", p.cmd.ProcessState, p.said())
	}
}

// inTime wants a program to have worked for less than a second.
func inTime(t *testing.T, what string, worked time.Duration) {
	t.Helper()
	t.Logf("%s: %v of the processor", what, worked)
	if worked > time.Second {
		t.Errorf("%s has worked for %v", what, worked)
	}
}

// worked returns how long a process has had the processor.
func worked(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):])) // from the third one on
	const tick = time.Second / 100                                          // USER_HZ
	var sum time.Duration
	for _, f := range fields[12:14] { // utime, stime
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}
