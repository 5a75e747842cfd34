package transform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/lifetime/process"
	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/stagetest"
)

// patience bounds every wait of the tests of programs.
const patience = 20 * time.Second

func TestExecChains(t *testing.T) {
	for _, text := range []string{"exec:cat,exec:cat", "gzip,exec:cat,gunzip"} {
		t.Run(text, func(t *testing.T) {
			leak.Check(t)
			stagetest.TestStage(t, chain(t, text), stagetest.Options{Ahead: true})
		})
	}
}

// A slowSource is what a test feeds a stage with, piece by piece. It waits for the
// next one.
type slowSource struct {
	pieces chan []byte
	once   sync.Once
	ended  chan struct{}
	err    error // once ended is closed
	hand   []byte
}

func newSource() *slowSource {
	return &slowSource{pieces: make(chan []byte, 200), ended: make(chan struct{})}
}

func (s *slowSource) Read(p []byte) (int, error) {
	for len(s.hand) == 0 {
		select {
		case s.hand = <-s.pieces:
			continue
		default:
		}
		select {
		case s.hand = <-s.pieces:
		case <-s.ended:
			if len(s.pieces) == 0 {
				return 0, s.err
			}
		}
	}
	n := copy(p, s.hand)
	s.hand = s.hand[n:]
	return n, nil
}

func (s *slowSource) give(text string) { s.pieces <- []byte(text) }

// end ends it, once.
func (s *slowSource) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.ended)
	})
}

// journal is a log, and what it says of standard error.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "line" {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.lines = append(j.lines, a.Value.String())
		}
		return true
	})
	return nil
}

func (j *journal) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines
}

// scripted is an exec stage with a shell's script.
type scripted struct {
	io.Reader
	close func() error
	site  *transform.Site
	src   *slowSource
	log   *journal
}

func script(t *testing.T, code, options string) *scripted {
	t.Helper()
	leak.Check(t)
	s, err := transform.ParseChain("exec:" + strconv.Quote("/bin/sh -c '"+strings.ReplaceAll(code, "'", `'\''`)+"'") + options)
	if err != nil {
		t.Fatal(err)
	}
	x := &scripted{src: newSource(), log: &journal{}}
	x.site = &transform.Site{Conn: "c1", Direction: "up", Log: slog.New(x.log)}
	x.Reader, x.close = s.OpenAt(x.src, x.site)
	t.Cleanup(func() {
		x.src.end(net.ErrClosed)
		if err := x.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	late := time.AfterFunc(patience, func() {
		t.Error("a Read does not return")
		x.site.Cut()
	})
	t.Cleanup(func() { late.Stop() })
	return x
}

// says reads a line.
func (x *scripted) says(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if n, err := io.ReadFull(x, got); err != nil || string(got) != want+"\n" {
		t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

// ends reads to the end.
func (x *scripted) ends(t *testing.T, want string) error {
	t.Helper()
	got, err := io.ReadAll(x)
	if string(got) != want {
		t.Errorf("got %.100q (%d bytes), want %.100q (%d bytes)", got, len(got), want, len(want))
	}
	for range 3 {
		if n, again := x.Read(make([]byte, 10)); n != 0 || again != err && !(err == nil && again == io.EOF) {
			t.Errorf("after %v: %d, %v", err, n, again)
		}
	}
	return err
}

func TestExecTransforms(t *testing.T) {
	x := script(t, `echo hello >&2; tr a-z A-Z; printf tail; echo bye >&2`, "")
	x.src.give("abc")
	x.src.give("def\n")
	x.src.end(io.EOF)
	if err := x.ends(t, "ABCDEF\ntail"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(x.log.list(), "|"); got != "hello|bye" {
		t.Errorf("standard error is %q", got)
	}
}

func TestExecCode(t *testing.T) {
	x := script(t, `cat; echo first >&2; echo it is broken >&2; exit 7`, "")
	x.src.give("abc")
	x.src.end(io.EOF)
	err := x.ends(t, "abc")
	var stage *transform.Error
	var exit *process.ExitError
	if !errors.As(err, &stage) || !errors.As(err, &exit) || exit.Code != 7 {
		t.Fatalf("got %v", err)
	}
	if got, want := err.Error(), "exec: /bin/sh exited with code 7: it is broken"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExecSignal(t *testing.T) {
	x := script(t, `kill -SEGV $$`, "")
	if err := x.ends(t, ""); err == nil || !strings.HasPrefix(err.Error(), "exec: /bin/sh was ended by segmentation fault") {
		t.Errorf("got %v", err)
	}
}

// A program that ends before its input does ends the stream; what else comes is
// not wanted.
func TestExecEndsEarly(t *testing.T) {
	for code, want := range map[string]error{`head -c 3`: nil, `head -c 3; exit 1`: errors.New("exec: /bin/sh exited with code 1")} {
		x := script(t, code, "")
		x.src.give("abcdef")
		if err := x.ends(t, "abc"); fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", code, err, want)
		}
	}
}

// A failing source wakes a Read that waits for a silent program, and the program
// does not take it for an end.
func TestExecSourceFails(t *testing.T) {
	failed := errors.New("failed")
	for code, want := range map[string]string{
		`echo ready; cat; echo $? >&2`:                               "abc",
		`echo ready; trap "" TERM; while :; do sleep 60; done`:       "",
		`echo ready; (trap "" TERM; while :; do sleep 60; done) & :`: "",
	} {
		x := script(t, code, ",grace=50ms")
		x.says(t, "ready")
		x.src.give("abc")
		x.src.end(failed)
		if err := x.ends(t, want); err != failed {
			t.Errorf("%s: got %v, want %v", code, err, failed)
		}
		if lines := x.log.list(); want == "abc" && (runtime.GOOS == "linux") && (len(lines) != 2 || lines[1] != "1") {
			t.Errorf("cat has noticed nothing: %q", lines)
		}
	}
}

// A shutdown of the resource that owns the chain ends the program, and says so.
func TestExecOwner(t *testing.T) {
	leak.Check(t)
	owner := &ownerNode{}
	if err := ownerKind.Init(owner, nil, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	src := newSource()
	r, close := transform.Chain{mustParse(t, "exec:/bin/sh -c 'echo ready; sleep 1000'")}.OpenAt(src, &transform.Site{Owner: &owner.Node})
	if line, err := readLine(r); err != nil || line != "ready" {
		t.Fatal(line, err)
	}
	owner.BeginShutdown(errors.New("the test says so"))
	if _, err := io.ReadAll(r); !errors.Is(err, lifetime.ErrShutdown) {
		t.Errorf("got %v", err)
	}
	src.end(net.ErrClosed)
	if err := close(); err != nil {
		t.Error(err)
	}
	<-owner.Done()
	r, close = transform.Chain{mustParse(t, "exec:cat")}.OpenAt(src, &transform.Site{Owner: &owner.Node})
	defer close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, lifetime.ErrShutdown) {
		t.Errorf("below one that was shut down: %v", err)
	}
}

type ownerNode struct{ lifetime.Node }

var ownerKind = lifetime.NewKind(lifetime.Hooks[ownerNode]{Name: "owner"})

func TestExecNotStarted(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"exec", `byte 1: stage exec needs its option "command": write exec:COMMAND`},
		{"exec:no-such-program -x", `byte 6: bad value "no-such-program -x" of option "command": no-such-program: executable file not found in $PATH`},
		{"exec:/etc/passwd", `byte 6: bad value "/etc/passwd" of option "command": /etc/passwd: permission denied`},
		{"exec:cat | tr", `'|' means something to a shell only: quote it, or run one: /bin/sh -c '…'`},
		{"exec:cat,grace=0", `byte 16: bad value "0" of option "grace": want a duration from above 0 to 1h, such as 500ms`},
	} {
		_, err := transform.ParseStage(test.in)
		if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.in, err, test.want)
		}
	}
	leak.Check(t)
	program := t.TempDir() + "/program"
	if err := os.WriteFile(program, []byte("#!/bin/cat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, "exec:"+program)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	r := s.Open(strings.NewReader("x"))
	if _, err := r.Read(make([]byte, 1)); err == nil || err.Error() != "exec: "+program+": no such file or directory" {
		t.Errorf("got %v", err)
	}
	r.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestExecEquals(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	if got := run(t, "exec:cat,exec:gzip -1,gunzip", want); !bytes.Equal(got, want) {
		t.Errorf("%d bytes became %d, or others", len(want), len(got))
	}
}

func BenchmarkExec(b *testing.B) {
	b.SetBytes(1 << 20)
	var done atomic.Bool
	r := mustParse(b, "exec:cat").Open(untilDone{&done})
	buf := make([]byte, 32<<10)
	for range b.N {
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r, 1<<20), buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	done.Store(true)
	if err := r.Close(); err != nil {
		b.Error(err)
	}
}

// untilDone is zeros that fail in the end.
type untilDone struct{ done *atomic.Bool }

func (u untilDone) Read(p []byte) (int, error) {
	if u.done.Load() {
		return 0, net.ErrClosed
	}
	return len(p), nil
}
