package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/lifetime/process"
	"relayd/tests/leak"
)

// shell returns the address of a script.
func shell(t *testing.T, script, grace string) Address {
	t.Helper()
	return address(t, "exec:///bin/sh?arg=-c&arg="+strings.ReplaceAll(url.PathEscape(script), "&", "%26")+"&grace="+grace)
}

// lines collects what a program writes to standard error.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

// runShell starts a script and takes both halves.
func runShell(t *testing.T, script, grace string) (*Socket, *ReadHalf, *WriteHalf, *lines) {
	t.Helper()
	leak.Check(t)
	l := &lines{}
	s, err := Dial(t.Context(), shell(t, script, grace), At{Stderr: l.add})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	return s, r, w, l
}

// program returns the process behind a socket.
func (s *Socket) program() *process.Process { return s.t.(*execTransport).p }

// over waits for the release of the socket and of its program.
func over(t *testing.T, s *Socket) {
	t.Helper()
	within(t, s.node.Done(), "the release of the socket")
	within(t, s.program().Resource().Done(), "the release of the process")
	if err := syscall.Kill(s.program().Pid(), 0); err != syscall.ESRCH {
		t.Errorf("the program is still there: %v", err)
	}
}

func TestExecCat(t *testing.T) {
	s, r, w, l := runShell(t, "echo hello >&2; exec cat", "10s")
	want2MB := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	go func() {
		w.Write(want2MB)
		w.Drop(context.Background())
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want2MB) {
		t.Errorf("%d bytes come back, %v", len(got), err)
	}
	drop(t, r.Drop, s.dropOnly)
	over(t, s)
	if s.node.End() != lifetime.Dropped {
		t.Errorf("%v: %v", s.node.End(), s.node.Err())
	}
	if len(l.list) != 1 || l.list[0] != "hello" {
		t.Errorf("standard error is %q", l.list)
	}
	if s.RemoteAddr() != "exec:///bin/sh" {
		t.Errorf("the remote address is %s", s.RemoteAddr())
	}
}

func TestExecExitCode(t *testing.T) {
	s, r, w, _ := runShell(t, "cat; exit 7", "10s")
	io.WriteString(w, "abc")
	drop(t, w.Drop)
	want(t, r, "abc")
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	drop(t, r.Drop, s.dropOnly)
	over(t, s)
	var e *process.ExitError
	if err := s.node.Err(); !errors.As(err, &e) || e.Code != 7 || s.node.End() != lifetime.Failed {
		t.Errorf("%v: %v", s.node.End(), err)
	}
}

// A program that has enough before all is read has ended, and not failed.
func TestExecClosesEarly(t *testing.T) {
	s, r, w, _ := runShell(t, "head -c 3 | cat", "10s")
	io.WriteString(w, "abcdef")
	got, err := io.ReadAll(r)
	if err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	over(t, s)
	if s.node.End() != lifetime.Dropped {
		t.Errorf("%v: %v", s.node.End(), s.node.Err())
	}
}

// A program that never reads stands the writer still, until the drop.
func TestExecNeverReads(t *testing.T) {
	s, r, w, _ := runShell(t, "trap '' TERM; echo ready; while :; do sleep 10; done", "20ms")
	want(t, r, "ready\n")
	ended := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, 8<<20))
		ended <- err
	}()
	blocked(t, &w.node)
	drop(t, w.Drop)
	if err := <-ended; !errors.Is(err, lifetime.ErrDropped) {
		t.Errorf("the write ends with %v", err)
	}
	drop(t, r.Drop, s.dropOnly)
	over(t, s)
}

// A program that neither ends at the end of its input nor at SIGTERM is killed.
func TestExecKilled(t *testing.T) {
	s, r, w, _ := runShell(t, "trap '' TERM; echo ready; while :; do sleep 10; done", "20ms")
	want(t, r, "ready\n")
	began := time.Now()
	drop(t, w.Drop, r.Drop, s.dropOnly)
	over(t, s)
	if d := time.Since(began); d > defaultLinger+5*time.Second {
		t.Errorf("it took %v", d)
	}
	if s.node.End() != lifetime.Dropped {
		t.Errorf("%v: %v", s.node.End(), s.node.Err())
	}
}

// A child of the program that keeps standard output open does not keep the
// socket.
func TestExecForks(t *testing.T) {
	s, r, w, _ := runShell(t, "(trap '' TERM; while :; do sleep 10; done) & echo ready", "20ms")
	want(t, r, "ready\n")
	within(t, s.program().Exited(), "the program's end")
	drop(t, w.Drop, r.Drop, s.dropOnly)
	over(t, s)
}

// What the program still writes to a reader that is gone does not stand it
// still: it ends by itself.
func TestExecWritesOn(t *testing.T) {
	s, r, w, _ := runShell(t, "cat >&-; head -c 4000000 /dev/zero; exit 3", "10s")
	drop(t, r.Drop, s.dropOnly, w.Drop)
	over(t, s)
	var e *process.ExitError
	if err := s.node.Err(); !errors.As(err, &e) || e.Code != 3 {
		t.Errorf("%v", err)
	}
}

func TestExecShutdown(t *testing.T) {
	s, r, _, _ := runShell(t, "trap '' TERM; echo ready; while :; do sleep 10; done", "1h")
	want(t, r, "ready\n")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	report, err := s.Shutdown(ctx, errTest)
	if err != nil || report.Kernel != Gone || report.End != lifetime.ShutDown {
		t.Errorf("%+v, %v", report, err)
	}
	over(t, s)
}

func TestExecAbort(t *testing.T) {
	s, r, w, _ := runShell(t, "trap '' TERM; echo ready; while :; do sleep 10; done", "1h")
	want(t, r, "ready\n")
	w.Abort()
	drop(t, r.Drop, s.dropOnly)
	over(t, s)
	if !errors.Is(s.node.Err(), errAborted) {
		t.Errorf("%v: %v", s.node.End(), s.node.Err())
	}
}

// The process stands between the parent and the socket, and holds the parent no
// longer than the socket does.
func TestExecInTree(t *testing.T) {
	leak.Check(t)
	for _, p := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block} {
		parent := &parentNode{}
		if err := parentKind.Init(parent, nil, p); err != nil {
			t.Fatal(err)
		}
		s, err := Dial(t.Context(), shell(t, "exec cat", "10s"), At{Parent: &parent.Node, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.node.Name(); !strings.HasSuffix(got, ".process.socket") {
			t.Errorf("the socket's name is %s", got)
		}
		s.node.BeginDrop()
		if _, err := parent.BeginDrop(); err != nil {
			t.Errorf("%v: the parent's drop: %v", p, err)
		}
		over(t, s)
		within(t, parent.Done(), "the parent")
		if s.node.End() != lifetime.Dropped || parent.End() != lifetime.Dropped {
			t.Errorf("%v: %v, %v", p, s.node.End(), parent.End())
		}
	}
}

type parentNode struct{ lifetime.Node }

var parentKind = lifetime.NewKind(lifetime.Hooks[parentNode]{Name: "parent"})

func TestExecListener(t *testing.T) {
	leak.Check(t)
	l, err := Listen(t.Context(), shell(t, "exec cat", "10s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second accept: %v", err)
	}
	drop(t, l.Drop)
	s, err := in.Open(At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	io.WriteString(w, "abc")
	want(t, r, "abc")
	drop(t, w.Drop, r.Drop, s.dropOnly)
	over(t, s)
}

func TestExecErrors(t *testing.T) {
	leak.Check(t)
	for path, want := range map[string]error{"/no/such": fs.ErrNotExist, "/etc/passwd": fs.ErrPermission, "/bin": syscall.EISDIR} {
		a := address(t, "exec://"+path)
		if _, err := Listen(t.Context(), a, nil); !errors.Is(err, want) {
			t.Errorf("listening at %v: %v, want %v", a, err, want)
		}
		if _, err := Dial(t.Context(), a, At{}); err == nil || want != syscall.EISDIR && !errors.Is(err, want) {
			t.Errorf("dialling %v: %v, want %v", a, err, want)
		}
	}
}
