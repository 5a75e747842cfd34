package transform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

func TestExecStage(t *testing.T) {
	for _, text := range []string{"exec:cat", "exec:cat,exec:cat", "gzip,exec:cat,gunzip", "exec:cat,gzip,gunzip,exec:cat"} {
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
	err    chan error
	hand   []byte
}

func newSource() *slowSource {
	return &slowSource{pieces: make(chan []byte, 16), err: make(chan error, 1)}
}

func (s *slowSource) Read(p []byte) (int, error) {
	if len(s.hand) == 0 {
		select {
		case s.hand = <-s.pieces:
		default:
			select {
			case s.hand = <-s.pieces:
			case err := <-s.err:
				s.err <- err
				return 0, err
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
	select {
	case s.err <- err:
	default:
	}
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

// gone waits for the end of the processes with these ids.
func gone(t *testing.T, pids ...string) {
	t.Helper()
	for _, pid := range pids {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); running(n); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("process %d is still there", n)
			}
		}
	}
}

// running reports whether a process runs. One that was killed and whose parent
// is gone may wait for init to reap it.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[0] != 'Z' && rest[0] != 'X'
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

// So does one that ends its output and stays: it has its grace.
func TestExecEndsOutput(t *testing.T) {
	for _, code := range []string{
		`echo $$; exec >&-; cat`,                                      // ends with its input, which is ended for it
		`echo $$; exec >&-; while :; do sleep 60; done`,               // ends by SIGTERM
		`echo $$; trap "" TERM; exec >&-; while :; do sleep 60; done`, // by SIGKILL
	} {
		x := script(t, code, ",grace=50ms")
		pid, err := io.ReadAll(x)
		if err != nil {
			t.Errorf("%s: %v", code, err)
		}
		gone(t, strings.TrimSpace(string(pid)))
	}
}

// What a program does not read is thrown away when it has said so, and its
// source is heard.
func TestExecClosesInput(t *testing.T) {
	failed := errors.New("failed")
	for _, end := range []error{io.EOF, failed} {
		x := script(t, `exec <&-; echo ready; trap "echo over; exit" TERM; while :; do sleep 60 & wait; done`, ",grace=50ms")
		x.says(t, "ready")
		for range 100 {
			x.src.give(strings.Repeat("x", 100_000))
		}
		x.src.end(end)
		if end == io.EOF {
			x.site.Cut()
			if err := x.ends(t, ""); !errors.Is(err, net.ErrClosed) {
				t.Errorf("cut: got %v", err)
			}
		} else if err := x.ends(t, "over\n"); err != end {
			t.Errorf("got %v, want %v", err, end)
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

// A program that never reads stands its source still, which then wakes nobody;
// a cut does.
func TestExecCut(t *testing.T) {
	x := script(t, `trap "" TERM; sleep 1000 & echo $$ $!; while :; do sleep 60; done`, ",grace=1h")
	line := make([]byte, 100)
	n, err := x.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	x.src.give(strings.Repeat("x", 8<<20))
	cut := time.AfterFunc(20*time.Millisecond, x.site.Cut)
	defer cut.Stop()
	if err := x.ends(t, ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	gone(t, strings.Fields(string(line[:n]))...)
}

// Close ends the program and its group, whatever it does.
func TestExecClose(t *testing.T) {
	for _, code := range []string{
		`trap "" TERM HUP; sleep 1000 & echo $$ $!; while :; do sleep 60; done`,
		`sleep 1000 & echo $$ $!`,
		`trap "" TERM PIPE; sleep 1000 & echo $$ $!; yes`,
		`sleep 1000 & echo $$ $!; exec >&- <&-; wait`,
		`sleep 1000 & echo $$ $!; yes >&2`,
	} {
		x := script(t, code, ",grace=1h")
		line, err := readLine(x)
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		x.src.end(net.ErrClosed)
		if err := x.close(); err != nil {
			t.Error(err)
		}
		gone(t, strings.Fields(line)...)
		if _, err := x.Read(make([]byte, 1)); !errors.Is(err, transform.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// What a program has started and left behind does not keep the stream open for
// longer than the grace, and may go on writing in it.
func TestExecForks(t *testing.T) {
	x := script(t, `sleep 1000 & echo $! >&2; (sleep 0.1; echo late) & echo early`, ",grace=300ms")
	if err := x.ends(t, "early\nlate\n"); err != nil {
		t.Error(err)
	}
	gone(t, x.log.list()...)
}

// A flood on standard error neither stands the program still nor is kept.
func TestExecFloods(t *testing.T) {
	x := script(t, `yes 0123456789abcdef | head -c 3000000 >&2; head -c 1000000 /dev/zero >&2; echo done`, "")
	if err := x.ends(t, "done\n"); err != nil {
		t.Error(err)
	}
	if n := len(x.log.list()); n < 3000000/17 {
		t.Errorf("%d lines are in the log", n)
	}
}

// Output that nobody reads stays where it is, and none of it is lost when the
// program has ended long ago.
func TestExecSlowReader(t *testing.T) {
	x := script(t, `head -c 60000 /dev/zero`, ",grace=20ms")
	b := make([]byte, 1)
	if _, err := x.Read(b); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(200 * time.Millisecond)
	<-timer.C
	if err := x.ends(t, strings.Repeat("\x00", 59_999)); err != nil {
		t.Error(err)
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

// A panic of the source is the stage's error, on whichever goroutine it was.
func TestExecSourcePanics(t *testing.T) {
	leak.Check(t)
	r := mustParse(t, "exec:cat").Open(panicSource{})
	defer r.Close()
	_, err := io.ReadAll(r)
	var p *transform.PanicError
	if !errors.As(err, &p) || p.Value != "source is broken" {
		t.Errorf("got %v", err)
	}
}

type panicSource struct{}

func (panicSource) Read([]byte) (int, error) { panic("source is broken") }

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

// However far it got, a stage that ends leaves nothing behind.
func TestExecKilledAtAnyMoment(t *testing.T) {
	leak.Check(t)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		text := []string{"exec:cat", "exec:cat,gzip,exec:cat", "exec:/bin/sh -c 'cat & cat'"}[i%3]
		c, err := transform.ParseChain(text)
		if err != nil {
			t.Fatal(err)
		}
		src := newSource()
		site := &transform.Site{}
		r, closeChain := c.OpenAt(src, site)
		src.give(strings.Repeat("x", random.IntN(200_000)+1))
		how, after := random.IntN(4), time.Duration(random.IntN(8_000_000))
		timer := time.AfterFunc(after, func() {
			switch how {
			case 0:
				src.end(errors.New("failed"))
			case 1:
				src.end(io.EOF)
			case 2:
				site.Cut()
			case 3:
				site.Cut()
				src.end(net.ErrClosed)
			}
		})
		n, err := io.Copy(io.Discard, r)
		if err == nil && how != 1 {
			t.Errorf("%s, ended in way %d after %v: %d bytes and a clean end", text, how, after, n)
		}
		timer.Stop()
		src.end(net.ErrClosed)
		if err := closeChain(); err != nil {
			t.Error(err)
		}
	}
}

// A GiB of zeros costs no more memory than a few bytes.
func TestExecMemory(t *testing.T) {
	leak.Check(t)
	r := mustParse(t, "exec:cat").Open(io.LimitReader(zeros{}, 256<<20))
	defer r.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 32<<10))
	if n != 256<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("256 MiB allocated %d KiB", got>>10)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestExecEquals(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	if got := run(t, "exec:cat,exec:gzip -1,gunzip", want); !bytes.Equal(got, want) {
		t.Errorf("%d bytes became %d, or others", len(want), len(got))
	}
}
