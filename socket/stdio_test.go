package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// stdioVar makes this test binary a program that copies its standard input to
// its standard output, through sockets.
const stdioVar = "RELAYD_TEST_STDIO"

// stdioSocket makes a socket of two files, which it owns.
func stdioSocket(t *testing.T, in, out *os.File) *Socket {
	t.Helper()
	var fds [2]int
	for i, f := range []*os.File{in, out} {
		n, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = n
		f.Close()
	}
	tr, err := stdioOf(fds[0], fds[1])
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(tr, At{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stdioPipes makes a socket of two pipes. in is to its input, out from its
// output.
func stdioPipes(t *testing.T) (s *Socket, in, out *os.File) {
	t.Helper()
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return stdioSocket(t, theirIn, theirOut), in, out
}

func TestStdioPipes(t *testing.T) {
	leak.Check(t)
	s, in, out := stdioPipes(t)
	r, w := halves(t, s)
	io.WriteString(in, "ping")
	want(t, r, "ping")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	go w.Write(big)
	got := make([]byte, len(big))
	if _, err := io.ReadFull(out, got); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("what arrives differs, %v", err)
	}
	drop(t, w.Drop)
	if n, err := out.Read(got); err != io.EOF {
		t.Errorf("after the half-close: %d, %v", n, err)
	}
	io.WriteString(in, "still open")
	in.Close()
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "still open" {
		t.Errorf("%q, %v", rest, err)
	}
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if s.RemoteAddr() != "stdio:" {
		t.Error(s.RemoteAddr())
	}
}

// Whoever is blocked is woken, although the descriptors block.
func TestStdioInterrupt(t *testing.T) {
	leak.Check(t)
	s, _, _ := stdioPipes(t)
	r, w := halves(t, s)
	ends := make(chan error, 2)
	go func() { _, err := r.Read(make([]byte, 1)); ends <- err }()
	blocked(t, &r.node)
	drop(t, r.Drop)
	if err := <-ends; !errors.Is(err, lifetime.ErrDropped) {
		t.Error(err)
	}
	go func() { _, err := w.Write(make([]byte, 1<<20)); ends <- err }()
	blocked(t, &w.node)
	if _, err := s.Shutdown(t.Context(), errTest); err != nil {
		t.Error(err)
	}
	if err := <-ends; !errors.Is(err, errTest) {
		t.Error(err)
	}
}

// A pipe that nobody reads any more is an error, and no signal.
func TestStdioBrokenPipe(t *testing.T) {
	leak.Check(t)
	s, _, out := stdioPipes(t)
	_, w := halves(t, s)
	out.Close()
	if _, err := w.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	s.Shutdown(t.Context(), errTest)
}

// Files, which no poller takes, work as well.
func TestStdioFiles(t *testing.T) {
	leak.Check(t)
	name := filepath.Join(t.TempDir(), "f")
	text := strings.Repeat("some text\n", 30_000)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name + ".out")
	if err != nil {
		t.Fatal(err)
	}
	s := stdioSocket(t, in, out)
	r, w := halves(t, s)
	got, err := io.ReadAll(r)
	if err != nil || string(got) != text {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if _, err := w.Write(got); err != nil {
		t.Fatal(err)
	}
	drop(t, w.Drop, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if b, err := os.ReadFile(name + ".out"); err != nil || string(b) != text {
		t.Errorf("%d bytes are written, %v", len(b), err)
	}
}

// One socket as both, as inetd passes it, is a socket with a FIN; and so are
// two.
func TestStdioSockets(t *testing.T) {
	leak.Check(t)
	for _, same := range []bool{true, false} {
		k, theirs, err := pairTransport()
		if err != nil {
			t.Fatal(err)
		}
		n, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		out := os.NewFile(uintptr(n), "out")
		var other *kernelTransport
		if !same {
			out.Close()
			if other, out, err = pairTransport(); err != nil {
				t.Fatal(err)
			}
			k, other = other, k // k is where the output goes
		}
		s := stdioSocket(t, theirs, out)
		if _, is := s.t.(*kernelTransport); is != same {
			t.Errorf("same %v: the transport is a %T", same, s.t)
		}
		_, w := halves(t, s)
		io.WriteString(w, "hello")
		drop(t, w.Drop)
		if got, err := io.ReadAll(k); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		s.Shutdown(t.Context(), errTest)
		k.Close()
		if other != nil {
			other.Close()
		}
	}
}

// The whole way: a program whose standard input and output are the socket.
func TestStdio(t *testing.T) {
	if how := os.Getenv(stdioVar); how != "" {
		copyStdio(t, how)
		return
	}
	leak.Check(t)
	for _, how := range []string{"dial", "listen"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStdio$")
		cmd.Env = append(os.Environ(), stdioVar+"="+how)
		text := strings.Repeat("line of text\n", 20_000)
		cmd.Stdin = strings.NewReader(text)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		// What the child's tests print after it is not in the stream.
		if err != nil || string(out) != text {
			t.Errorf("%s: %v, %d bytes come back\n%s", how, err, len(out), &stderr)
		}
	}
}

// copyStdio is the child.
func copyStdio(t *testing.T, how string) {
	var s *Socket
	var err error
	a := address(t, "stdio:")
	if how == "dial" {
		s, err = Dial(t.Context(), a, At{})
	} else {
		var l *Listener
		var in Incoming
		if l, err = Listen(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		if in, err = l.Accept(); err == nil {
			s, err = in.Open(At{})
		}
		l.Drop(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), a, At{}); !errors.Is(err, errStdioTaken) {
		fmt.Fprintln(os.Stderr, "taken again:", err)
		os.Exit(1)
	}
	fmt.Println("this is not part of the stream")
	r, w := halves(t, s)
	if _, err := io.Copy(w, r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	drop(t, w.Drop, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if !t.Failed() {
		os.Exit(0) // standard input and output are not what they were, for good
	}
}
