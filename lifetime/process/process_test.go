package process

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// errTest is the cause that tests shut down with.
var errTest = errors.New("the test says so")

// A child is a shell that a test runs.
type child struct {
	*Process
	in  *os.File // to its standard input
	out *os.File // from its standard output

	mu    sync.Mutex
	lines []string
}

// start runs a script.
func start(t *testing.T, script string, grace time.Duration) *child {
	t.Helper()
	leak.Check(t)
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{in: in, out: out}
	t.Cleanup(func() { in.Close(); out.Close() })
	out.SetReadDeadline(time.Now().Add(patience))
	c.Process, err = Start(t.Context(), Command{
		Path: "/bin/sh", Args: []string{"-c", script},
		Stdin: theirIn, Stdout: theirOut, Stderr: c.line, Grace: grace,
	}, nil)
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) line(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, s)
}

// says waits until the child has written a line.
func (c *child) says(t *testing.T, want string) {
	t.Helper()
	buf := make([]byte, len(want)+1)
	if _, err := io.ReadFull(c.out, buf); err != nil || string(buf) != want+"\n" {
		t.Fatalf("the child says %q, %v; want %q", buf, err, want)
	}
}

// drop drops the process and waits for its release.
func (c *child) drop(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, err := c.node.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	within(t, c.node.Done())
}

func within(t *testing.T, done <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatal("not within " + patience.String())
	}
}

func TestSuccess(t *testing.T) {
	c := start(t, "read x; echo got $x; echo one >&2; printf two >&2", 0)
	io.WriteString(c.in, "hello\n")
	c.says(t, "got hello")
	within(t, c.Exited())
	if s := c.node.State(); s != lifetime.Live {
		t.Errorf("the resource of a program that has ended is %v", s)
	}
	c.drop(t)
	if err := c.Wait(t.Context()); err != nil || c.node.End() != lifetime.Dropped {
		t.Errorf("%v, %v", err, c.node.End())
	}
	if got := strings.Join(c.lines, "|"); got != "one|two" {
		t.Errorf("standard error is %q", got)
	}
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]ExitError{
		"exit 3":        {"/bin/sh", 3, 0},
		"kill -ABRT $$": {"/bin/sh", -1, syscall.SIGABRT},
	} {
		c := start(t, script, 0)
		within(t, c.Exited())
		c.drop(t)
		var e *ExitError
		if err := c.node.Err(); !errors.As(err, &e) || *e != want || c.node.End() != lifetime.Failed {
			t.Errorf("%s ends with %v, %v", script, c.node.End(), err)
		}
		if err := c.Wait(t.Context()); err != error(e) {
			t.Errorf("Wait returns %v", err)
		}
	}
}

// A program that ends when its input does is not signalled.
func TestEndsByItself(t *testing.T) {
	c := start(t, "trap 'echo term; exit 1' TERM; cat; exit 5", patience)
	c.node.BeginDrop()
	c.in.Close()
	within(t, c.node.Done())
	var e *ExitError
	if err := c.node.Err(); !errors.As(err, &e) || e.Code != 5 {
		t.Errorf("%v", err)
	}
}

// After the grace comes SIGTERM, and what the program makes of it is no failure.
func TestTerminated(t *testing.T) {
	c := start(t, "trap 'echo term; exit 9' TERM; echo ready; while :; do read x; done", 20*time.Millisecond)
	c.says(t, "ready")
	c.drop(t)
	c.says(t, "term")
	if err := c.node.Err(); !errors.Is(err, lifetime.ErrDropped) {
		t.Errorf("%v", err)
	}
}

// A program that ignores SIGTERM is killed, and so is all of its group.
func TestKilled(t *testing.T) {
	c := start(t, "trap '' TERM; sh -c 'echo ready; while :; do read x; done' & echo $! >&2; wait", 20*time.Millisecond)
	c.says(t, "ready")
	began := time.Now()
	c.drop(t)
	if d := time.Since(began); d < 40*time.Millisecond || d > patience/2 {
		t.Errorf("it took %v", d)
	}
	if err := c.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	c.gone(t)
}

// A SIGKILL that is not ours is a failure, also when we kill what is left of the
// group afterwards.
func TestKilledByOthers(t *testing.T) {
	c := start(t, "kill -KILL $$", 0)
	within(t, c.Exited())
	c.drop(t)
	var e *ExitError
	if err := c.Wait(t.Context()); !errors.As(err, &e) || e.Signal != syscall.SIGKILL || c.node.End() != lifetime.Failed {
		t.Errorf("%v: %v", c.node.End(), err)
	}
}

// Who was asked to end and is killed was killed by somebody, and that is no end of
// its own. A stream would be cut off in the middle and look whole.
func TestWhoseEnd(t *testing.T) {
	for _, test := range []struct {
		asked, killed bool
		exit          ExitError
		ours          bool
	}{
		{false, false, ExitError{Code: 3}, false},
		{false, false, ExitError{Code: -1, Signal: syscall.SIGKILL}, false},
		{true, false, ExitError{Code: 3}, true},
		{true, false, ExitError{Code: -1, Signal: syscall.SIGTERM}, true},
		{true, false, ExitError{Code: -1, Signal: syscall.SIGKILL}, false},
		{true, true, ExitError{Code: -1, Signal: syscall.SIGKILL}, true},
		{false, true, ExitError{Code: -1, Signal: syscall.SIGKILL}, true},
		{false, true, ExitError{Code: 3}, false},
	} {
		p := &Process{exit: test.exit}
		p.asked.Store(test.asked)
		p.killed.Store(test.killed)
		if got := p.ours(); got != test.ours {
			t.Errorf("asked %t, killed %t, %v: ours is %t", test.asked, test.killed, &test.exit, got)
		}
	}
}

// gone waits until the descendant whose pid the child has written to standard
// error does not run any more: then its standard output ends.
func (c *child) gone(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c.out); err != nil {
		t.Errorf("the group still has standard output open: %q, %v", rest, err)
	}
	if len(c.lines) != 1 {
		t.Fatalf("standard error is %q", c.lines)
	}
	if _, err := strconv.Atoi(c.lines[0]); err != nil {
		t.Error(err)
	}
}

// What a program leaves behind in its group keeps neither the release nor the
// standard output.
func TestLeftBehind(t *testing.T) {
	c := start(t, "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 10; done' & echo $! >&2; exit 0", patience)
	c.says(t, "ready")
	within(t, c.Exited())
	c.drop(t)
	c.gone(t)
}

// A descendant that left the group and keeps standard error open does not delay
// the release for long.
func TestEscaped(t *testing.T) {
	c := start(t, program.Need(t, "setsid")+" sh -c 'echo $$; exec >&-; cat <&3' 3<&0 & wait", 0)
	buf := make([]byte, 20)
	n, err := c.out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(c.Pid(), syscall.SIGUSR1)
	within(t, c.Exited())
	c.drop(t)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the escaped one was ended, too: %v", err)
	}
	c.in.Close() // ends it
}

func TestFlood(t *testing.T) {
	c := start(t, "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last >&2", 0)
	within(t, c.Exited())
	c.drop(t)
	if n := len(c.lines); n != 2002 {
		t.Fatalf("%d lines", n)
	}
	if got := len(c.lines[2000]); got != maxLine {
		t.Errorf("the long line has %d bytes, want %d", got, maxLine)
	}
	if c.lines[1999] != "line 1999" || c.lines[2001] != "last" {
		t.Errorf("%q, %q", c.lines[1999], c.lines[2001])
	}
}

func TestShutdown(t *testing.T) {
	c := start(t, "trap '' TERM; echo ready; while :; do read x; done", patience)
	c.says(t, "ready")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	r, err := c.node.Shutdown(ctx, errTest)
	if err != nil || r.State != lifetime.Released || r.End != lifetime.ShutDown {
		t.Errorf("%+v, %v", r, err)
	}
	if err := c.node.Err(); !errors.Is(err, errTest) {
		t.Error(err)
	}
	if err := syscall.Kill(c.Pid(), 0); err != syscall.ESRCH {
		t.Errorf("the program was not reaped: %v", err)
	}
}

// A shutdown does not wait for a grace that has begun.
func TestShutdownWhileDraining(t *testing.T) {
	c := start(t, "echo ready; while :; do read x; done", time.Hour)
	c.says(t, "ready")
	c.node.BeginDrop()
	c.node.BeginShutdown(errTest)
	within(t, c.node.Done())
}

// The grace begins when the conversation is over.
func TestDrained(t *testing.T) {
	leak.Check(t)
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	drained := make(chan struct{})
	p, err := Start(t.Context(), Command{
		Path: "/bin/sh", Args: []string{"-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"},
		Stdout: theirs, Grace: time.Millisecond, Drained: drained,
	}, nil)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 6))
	p.node.BeginDrop()
	timer := time.NewTimer(50 * time.Millisecond)
	select {
	case <-p.Exited():
		t.Error("it was signalled before")
	case <-timer.C:
	}
	close(drained)
	within(t, p.node.Done())
}

func TestStartErrors(t *testing.T) {
	leak.Check(t)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"/no/such": fs.ErrNotExist, file: fs.ErrPermission, "no-such-program": nil} {
		p, err := Start(t.Context(), Command{Path: path, Stderr: func(string) {}}, nil)
		var e *Error
		if !errors.As(err, &e) || e.Path != path || want != nil && !errors.Is(err, want) {
			t.Errorf("%v, %v; want %v", p, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Command{Path: "/bin/sh"}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c := start(t, ":", 0)
	c.drop(t)
	if _, err := Start(t.Context(), Command{Path: "/bin/sh", Stderr: func(string) {}}, &c.node); !errors.Is(err, lifetime.ErrDropped) {
		t.Errorf("below one that is gone: %v", err)
	}
}
