package transform_test

// Programs that do not do what a filter should.

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

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

// So does one that ends its output and stays: it has its grace.
func TestExecEndsOutput(t *testing.T) {
	for _, code := range []string{
		`echo $$; exec >&-; cat >/dev/null`,                           // ends with its input, which is ended for it
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

// And not for longer than the conn, when that is cut: forks that take no TERM, that
// hold the stream, and those of forks, are gone with the program.
func TestExecForksEndWithTheConn(t *testing.T) {
	x := script(t, `trap "" TERM; (sleep 1000 & echo $! >&2; trap "" TERM; sleep 1000) & echo $! >&2; echo ready; sleep 1000`, ",grace=1h")
	x.says(t, "ready")
	for end := time.Now().Add(patience); len(x.log.list()) < 2; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("only %v were started", x.log.list())
		}
	}
	x.site.Cut()
	if _, err := io.Copy(io.Discard, x); !errors.Is(err, net.ErrClosed) {
		t.Errorf("cut: %v", err)
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

// 256 MiB of zeros cost no more memory than a few bytes.
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
