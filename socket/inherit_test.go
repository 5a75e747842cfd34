package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"relayd/tests/leak"
)

// inherit makes a descriptor as if the process had been started with it: a copy
// of f's, without close-on-exec.
func inherit(t *testing.T, f syscall.Conn) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	raw.Control(func(fd uintptr) { n, err = unix.FcntlInt(fd, unix.F_DUPFD, 3) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// open reports whether n is a descriptor, and what its flags are.
func flags(n, what int) int {
	v, err := unix.FcntlInt(uintptr(n), what, 0)
	if err != nil {
		return -1
	}
	return v
}

func TestInheritedListener(t *testing.T) {
	leak.Check(t)
	for name, text := range map[string][2]string{
		"tcp": {"tcp", "127.0.0.1:0"}, "tcp6": {"tcp", "[::1]:0"}, "unix": {"unix", filepath.Join(t.TempDir(), "s")},
	} {
		ln, err := net.Listen(text[0], text[1])
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		n := inherit(t, ln.(syscall.Conn))
		ln.Close()
		a := fmt.Sprintf("fd://%d?backlog=5", n)
		l, err := Listen(t.Context(), address(t, a), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if flags(n, unix.F_GETFD) >= 0 {
			t.Errorf("%s: the number is not given up", name)
		}
		if l.option(t, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) != 1 {
			t.Errorf("%s: it does not listen", name)
		}
		raw, _ := l.ln.(*kernelListener).SyscallConn()
		raw.Control(func(fd uintptr) {
			if flags(int(fd), unix.F_GETFD)&unix.FD_CLOEXEC == 0 || flags(int(fd), unix.F_GETFL)&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: close-on-exec and non-blocking: %x, %x", name, flags(int(fd), unix.F_GETFD), flags(int(fd), unix.F_GETFL))
			}
		})
		for range 2 {
			peer, err := net.Dial(text[0], ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			in, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if k := in.t.(*kernelTransport); k.tcp && runtime.GOOS == "linux" {
				if idle := k.option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL); idle != 10 {
					t.Errorf("%s: accepted sockets have a keepalive interval of %d", name, idle)
				}
			}
			in.Refuse()
			peer.Close()
		}
		if _, err := Listen(t.Context(), address(t, a), nil); !errors.Is(err, errNotOpen) {
			t.Errorf("%s: taken again: %v", name, err)
		}
		drop(t, l.Drop)
		if text[0] == "unix" {
			if _, err := os.Stat(text[1]); err != nil {
				t.Errorf("the file of somebody else's socket is gone: %v", err)
			}
		}
	}
}

// connected returns a descriptor of a connection, as if inherited, and its peer.
func connected(t *testing.T) (n int, peer netConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return inherit(t, c.(syscall.Conn)), p.(netConn)
}

func TestInheritedConnection(t *testing.T) {
	leak.Check(t)
	for _, listen := range []bool{false, true} {
		n, peer := connected(t)
		a := address(t, fmt.Sprintf("fd://%d?sndbuf=64KiB", n))
		var s *Socket
		if listen {
			l, err := Listen(t.Context(), a, nil)
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
			if s, err = in.Open(At{}); err != nil {
				t.Fatal(err)
			}
		} else {
			var err error
			if s, err = Dial(t.Context(), a, At{}); err != nil {
				t.Fatal(err)
			}
		}
		r, w := halves(t, s)
		io.WriteString(w, "hello")
		drop(t, w.Drop)
		want(t, peer, "hello")
		if k, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the peer reads %d, %v", k, err)
		}
		io.WriteString(peer, "answer")
		peer.CloseWrite()
		if got, err := io.ReadAll(r); err != nil || string(got) != "answer" {
			t.Errorf("%q, %v", got, err)
		}
		drop(t, r.Drop, s.dropOnly)
		within(t, s.node.Done(), "the release")
	}
}

// A connection that nobody accepts is closed with its listener.
func TestInheritedUnaccepted(t *testing.T) {
	leak.Check(t)
	n, peer := connected(t)
	l, err := Listen(t.Context(), address(t, fmt.Sprintf("fd://%d", n)), nil)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, l.Drop)
	if k, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer reads %d, %v", k, err)
	}
}

func TestInheritErrors(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	idle, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var own int
	raw, _ := ln.(syscall.Conn).SyscallConn()
	raw.Control(func(fd uintptr) { own = int(fd) })
	pipe, packets, listener := inherit(t, r), inherit(t, udp.(syscall.Conn)), inherit(t, ln.(syscall.Conn))

	check := func(n int, dial bool, options string, want error) {
		t.Helper()
		a := address(t, fmt.Sprintf("fd://%d%s", n, options))
		var err error
		if dial {
			_, err = Dial(t.Context(), a, At{})
		} else {
			_, err = Listen(t.Context(), a, nil)
		}
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("descriptor %d ", n)) {
			t.Errorf("descriptor %d: %v, want %v", n, err, want)
		}
		if want != errNotOpen && flags(n, unix.F_GETFD) < 0 {
			t.Errorf("descriptor %d was closed", n)
		}
	}
	check(own, false, "", errNotInherited)
	check(pipe, false, "", errNotSocket)
	check(packets, false, "", errNotStream)
	check(idle, false, "", errNotConnected)
	check(listener, true, "", errListens)
	check(99999, true, "", errNotOpen)
	for _, n := range []int{pipe, packets, idle, listener} {
		unix.Close(n)
	}
}

// An option that a Unix socket does not have is an error, and not left out.
func TestInheritedWrongOption(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := inherit(t, ln.(syscall.Conn))
	_, err = Listen(t.Context(), address(t, fmt.Sprintf("fd://%d?nodelay=true", n)), nil)
	if err == nil || !strings.Contains(err.Error(), `option "nodelay" does not fit`) {
		t.Errorf("%v", err)
	}
	if err := unix.Close(n); err != nil { // it is ours still
		t.Errorf("the descriptor that does not fit: %v", err)
	}
}

// A descriptor that is passed by name is the caller's until somebody has it: where
// an option is wrong it stays what it is, and the number is not one that something
// else of the process may get, and would be taken for it the next time.
func TestPassedWrongOption(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := inherit(t, ln.(syscall.Conn))
	passed.once.Do(readPassed)
	before := passed.list
	passed.list = []passedFD{{fd: n, name: "web"}}
	defer func() { passed.list = before }()
	if _, err := Listen(t.Context(), address(t, "systemd://web?nodelay=true"), nil); err == nil {
		t.Fatal("a Unix socket has NODELAY")
	}
	own, err := net.Listen("tcp", "127.0.0.1:0") // takes what is free
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	l, err := Listen(t.Context(), address(t, "systemd://web"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	if _, ok := l.ln.(*kernelListener).netListener.(*net.UnixListener); !ok {
		t.Errorf("it listens on a socket of our own: %v", l.ln.(*kernelListener).Addr())
	}
}

// passedVar makes this test binary a program that was started with descriptors.
const passedVar = "RELAYD_TEST_PASSED"

// Descriptors come through an exec, by number and by systemd's names.
func TestPassed(t *testing.T) {
	if os.Getenv(passedVar) != "" {
		serveOnce(t, os.Getenv(passedVar))
		return
	}
	leak.Check(t)
	for _, c := range []struct{ address, names, says string }{
		{"fd://3", "", "hello from a child"},
		{"fd://4", "", "hello from a child"},
		{"systemd://second", "first:second", "hello from a child"},
		{"systemd://unknown", "", "hello from a child"},
		{"systemd://third", "first:second", `there is still "first", "second"`},
	} {
		answer := passTo(t, c.address, c.names, true)
		if !strings.Contains(answer, c.says) {
			t.Errorf("%+v: %s", c, answer)
		}
	}
	if answer := passTo(t, "systemd://first", "first:second", false); !strings.Contains(answer, "systemd has passed no descriptor") {
		t.Errorf("the variables of another process: %s", answer)
	}
}

// passTo runs this test in a child, with two listeners as its descriptors 3 and
// 4, and returns what the child says, to its clients or on standard output.
func passTo(t *testing.T, a, names string, pid bool) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `[ -z "$PASS" ] || export LISTEN_PID=$$; exec "$0" -test.run='^TestPassed$'`, os.Args[0])
	cmd.Env = append(os.Environ(), passedVar+"="+a, "LISTEN_FDS=2", "LISTEN_PID=1")
	if names != "" {
		cmd.Env = append(cmd.Env, "LISTEN_FDNAMES="+names)
	}
	if pid {
		cmd.Env = append(cmd.Env, "PASS=1")
	}
	var addrs []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		addrs = append(addrs, ln.Addr().String())
	}
	which := 0
	if a == "fd://4" || strings.HasSuffix(a, "second") {
		which = 1
	}
	c, err := net.Dial("tcp", addrs[which]) // the backlog takes it
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	line := make([]byte, 100)
	c.(*net.TCPConn).CloseWrite()
	if strings.Contains(string(out), "served") {
		n, _ := c.Read(line)
		return string(line[:n])
	}
	return string(out)
}

// serveOnce says hello to one client. It is the child.
func serveOnce(t *testing.T, a string) {
	l, err := Listen(t.Context(), address(t, a), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.Open(At{})
	if err != nil {
		t.Fatal(err)
	}
	_, w := halves(t, s)
	io.WriteString(w, "hello from a child")
	if strings.HasPrefix(a, "systemd") {
		if v, ok := os.LookupEnv("LISTEN_FDS"); ok {
			t.Errorf("LISTEN_FDS is still %q", v)
		}
		for n := 3; n < 5; n++ {
			if f := flags(n, unix.F_GETFD); f >= 0 && f&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d goes on to children", n)
			}
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Shutdown(t.Context(), errTest)
	drop(t, l.Drop)
	fmt.Println("served")
}
