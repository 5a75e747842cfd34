package tests

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// exhaustedVar makes this test binary a relay with few descriptors.
const exhaustedVar = "RELAYD_TEST_EXHAUSTED"

// spareFDs is how many descriptors that relay may open.
const spareFDs = 20

// A relay without free descriptors does not spin, says so about once a second,
// and goes on when some are free. It runs in a process of its own.
func TestExhaustion(t *testing.T) {
	if os.Getenv(exhaustedVar) != "" {
		runExhausted(t)
		return
	}
	leak.Check(t)
	e := startExhausted(t)
	to := address(t, e.next(t, "listening").Addr)

	var conns []conn
	for range 2 * spareFDs {
		conns = append(conns, dial(t, to)) // the backlog takes what accept does not
	}
	var lines []logLine
	for len(lines) < 3 {
		lines = append(lines, e.next(t, "accept failed"))
	}
	for i, line := range lines {
		// Pauses grow to a second: ten tries, while they are short.
		if line.Times < 1 || line.Times > 20 {
			t.Errorf("line %d speaks of %d tries since the last", i, line.Times)
		}
		if i > 0 {
			if d := line.Time.Sub(lines[i-1].Time); d < time.Second || d > 5*time.Second {
				t.Errorf("line %d comes %v after the last, want about a second", i, d)
			}
		}
		if line.Hint == "" {
			t.Errorf("line %d has no hint", i)
		}
	}

	// Those that were accepted are served all the while, and every place that
	// one of them leaves goes to one that waits.
	for _, c := range conns {
		exchange(t, c, "hello")
		finish(t, c, "")
	}
	e.next(t, "accepting again")
	c := dial(t, to)
	exchange(t, c, "a new one")
	finish(t, c, "")
	e.end(t)
}

// runExhausted is what the other process does: it relays until its standard
// input ends, and logs to its standard output.
func runExhausted(t *testing.T) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	s, err := relay.Start(t.Context(), relay.Config{
		Listen: []socket.Address{address(t, "127.0.0.1:0")},
		To:     address(t, "echo:"),
		Log:    log,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, open := leak.Count()
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = uint64(open + spareFDs)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	log.Info("listening", "addr", s.Addrs()[0].String())
	io.Copy(io.Discard, os.Stdin)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if r, err := s.Drain(ctx); err != nil || r.Cut > 0 {
		t.Errorf("drain: %+v, %v", r, err)
	}
}

// A logLine is a line of that process's log.
type logLine struct {
	Time  time.Time
	Msg   string
	Addr  string
	Hint  string
	Times int
}

// An exhausted is that process, seen from here.
type exhausted struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Scanner
}

func startExhausted(t *testing.T) *exhausted {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(stop)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestExhaustion$", "-test.count=1")
	cmd.Env = append(os.Environ(), exhaustedVar+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := &exhausted{cmd, stdin, bufio.NewScanner(stdout)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return e
}

// next returns the next line with a message. The process is killed, and its
// output ends, when it takes too long.
func (e *exhausted) next(t *testing.T, message string) logLine {
	t.Helper()
	for e.out.Scan() {
		var line logLine
		if json.Unmarshal(e.out.Bytes(), &line) == nil && line.Msg == message {
			return line
		}
	}
	t.Fatalf("the process has ended before it said %q: %v", message, e.out.Err())
	return logLine{}
}

// end lets the process end, and wants it to end well.
func (e *exhausted) end(t *testing.T) {
	t.Helper()
	e.stdin.Close()
	var rest []string
	for e.out.Scan() {
		rest = append(rest, e.out.Text())
	}
	if err := e.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, fmt.Sprint(rest))
	}
}
