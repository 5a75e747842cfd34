package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
)

// closed closes the connection of s as a program without a drain would, and
// leaves the socket to its release.
func closed(t *testing.T, s *Socket, first func(fd int)) {
	t.Helper()
	copied := -1
	s.t.(*kernelTransport).control(func(fd int) { copied, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if first != nil {
		first(copied)
	}
	s.t.Close()
	unix.Close(copied)
}

// What the kernel still knows of a connection that was closed and not reset is
// told in its words.
func TestKernelStates(t *testing.T) {
	for _, c := range []struct {
		name  string
		wants KernelState
		close func(t *testing.T, s *Socket, peer netConn)
	}{
		{"reset", Gone, func(t *testing.T, s *Socket, _ netConn) {
			closed(t, s, func(fd int) { disconnectTCP(fd) })
		}},
		{"the peer keeps its side open", FinWait2, func(t *testing.T, s *Socket, peer netConn) {
			closed(t, s, nil)
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the peer saw %v", err)
			}
		}},
		{"both have finished", TimeWait, func(t *testing.T, s *Socket, peer netConn) {
			closed(t, s, nil)
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the peer saw %v", err)
			}
			peer.Close()
		}},
		{"the peer does not read", Orphan, func(t *testing.T, s *Socket, _ netConn) {
			fill(t, s.t)
			closed(t, s, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
			id := s.identify()
			if !id.found {
				t.Fatal(id.why)
			}
			c.close(t, s, peer)
			if state, why := id.after(); state != c.wants || why != "" {
				t.Errorf("%q, %q; want %q", state, why, c.wants)
			}
			drop(t, s.dropOnly)
			within(t, s.node.Done(), "the release")
			reset(peer)
		})
	}
}

// A successor with the same addresses is another connection: it is no reason to
// call the first one alive.
func TestSuccessorIsNotMistaken(t *testing.T) {
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	open := func(from string) (*Socket, *net.TCPConn) {
		local, _ := net.ResolveTCPAddr("tcp", from)
		to, _ := net.ResolveTCPAddr("tcp", l.Addr().address())
		peer, err := net.DialTCP("tcp", local, to)
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		return s, peer
	}
	s, peer := open("127.0.0.1:0")
	from := s.RemoteAddr()
	id := s.identify()
	if !id.found {
		t.Fatal(id.why)
	}
	if _, err := s.Shutdown(t.Context(), errTest); err != nil {
		t.Fatal(err)
	}
	peer.Read(make([]byte, 1)) // the reset: the addresses are free
	peer.Close()
	next, peer := open(from)
	defer peer.Close()
	if next.RemoteAddr() != from {
		t.Fatalf("%s is no successor of %s", next.RemoteAddr(), from)
	}
	if state, why := id.after(); state != Gone {
		t.Errorf("the first one is %s %s, and its successor lives", state, why)
	}
	if report, err := next.Shutdown(t.Context(), errTest); err != nil || report.Kernel != Gone {
		t.Errorf("the successor: %+v, %v", report, err)
	}
}

// The bytes of both queues are counted before the connection is ended, when they
// are still there, and the holders are those of that moment.
func TestShutdownCounts(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	peer.Write([]byte("unread"))
	for !r.Ready() {
	}
	wrote := fill(t, s.t)
	unsent := s.t.unsent()
	if unsent == 0 || unsent > wrote {
		t.Fatalf("%d of %d bytes are not acknowledged", unsent, wrote)
	}
	drop(t, w.Drop)
	report, err := s.Shutdown(t.Context(), errTest)
	if err != nil || report.Kernel != Gone || report.Unread != len("unread") {
		t.Errorf("%+v, %v", report, err)
	}
	if report.Unsent < unsent || report.Unsent > unsent+1 { // the FIN counts
		t.Errorf("%d bytes unsent, want %d", report.Unsent, unsent)
	}
	if len(report.Holders) != 1 || report.Holders[0].Name != r.Resource().Name() {
		t.Errorf("the holders were %v, want the read half", report.Holders)
	}
	for _, take := range []func() error{
		func() error { _, err := s.Receive(); return err },
		func() error { _, err := s.Send(); return err },
	} {
		if err := take(); !errors.Is(err, lifetime.ErrShutdown) && !errors.Is(err, lifetime.ErrTaken) {
			t.Errorf("a half after the shutdown: %v", err)
		}
	}
}

// The kernel is asked with the interface of a bound socket, without which it
// shows none.
func TestShutdownOfBoundToInterface(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, err := Listen(t.Context(), address(t, host+":0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Drop(t.Context())
		s, err := Dial(t.Context(), address(t, fmt.Sprintf("%s:%d?interface=lo", host, l.Addr().Port)), At{})
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if report, err := s.Shutdown(t.Context(), errTest); err != nil || report.Kernel != Gone {
			t.Errorf("%s: %+v, %v", host, report, err)
		}
		in.Refuse()
	}
}

// The same with link-local addresses, which mean an interface. They are in a
// namespace of their own.
func TestShutdownOfLinkLocal(t *testing.T) {
	if os.Getenv(namespaceVar) == "" {
		if said, ok := inNamespace(t); ok && !strings.Contains(said, "dialled: gone\naccepted: gone\n") {
			t.Error(said)
		}
		return
	}
	addLinkLocal(t)
	l, err := Listen(t.Context(), address(t, "[::]:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	for _, side := range []string{"dialled", "accepted"} {
		s, err := Dial(t.Context(), address(t, fmt.Sprintf("[fe80::1%%lo]:%d", l.Addr().Port)), At{})
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		other, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		if side == "accepted" {
			s, other = other, s
		}
		report, err := s.Shutdown(t.Context(), errTest)
		if err != nil {
			t.Error(err)
		}
		fmt.Printf("%s: %s%s\n", side, report.Kernel, report.Why)
		if _, err := other.Shutdown(t.Context(), errTest); err != nil {
			t.Error(err)
		}
	}
}

// addLinkLocal turns the loopback interface of this namespace on, and gives it
// the address fe80::1.
func addLinkLocal(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
	index, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	// struct in6_ifreq
	request := struct {
		address [16]byte
		prefix  uint32
		index   int32
	}{[16]byte{0: 0xfe, 1: 0x80, 15: 1}, 64, int32(index.Index)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
	tentative(t)
}

// tentative waits until no address is still being looked for on the link: until
// then nobody can listen or dial there.
func tentative(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if c, err := net.ListenPacket("udp6", "[fe80::1%lo]:0"); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("fe80::1 does not come")
}

// Where connect(2) with AF_UNSPEC is refused, the close of the last copy resets.
func TestDisconnectRefused(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	refused(t, refusal{unix.SYS_CONNECT, anything, syscall.EACCES}, func() {
		s.t.disconnect()
		peer.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the peer saw %v before the close: the connect was not refused", err)
		}
		s.t.Close()
	})
	peer.SetReadDeadline(time.Now().Add(patience))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v, want a reset", err)
	}
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// A listener's shutdown closes our copy, and wakes our Accept. A copy that
// somebody else has accepts on.
func TestListenerShutdownSparesCopies(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			l, err := Listen(t.Context(), address(t, text), nil)
			if err != nil {
				t.Fatal(err)
			}
			f, err := l.ln.(*kernelListener).netListener.(interface{ File() (*os.File, error) }).File()
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := net.FileListener(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			network, at := l.Addr().network(), l.Addr().address()
			if name == "unix" { // the file goes with the listener that made it
				os.Link(at, at+"2")
				at += "2"
			}
			var accept sync.WaitGroup
			accept.Go(func() {
				if _, err := l.Accept(); !errors.Is(err, errTest) {
					t.Errorf("our Accept: %v", err)
				}
			})
			blocked(t, l.Resource())
			if report, err := l.Resource().Shutdown(t.Context(), errTest); err != nil || report.State != lifetime.Released {
				t.Errorf("%+v, %v", report, err)
			}
			accept.Wait()
			c, err := net.Dial(network, at)
			if err != nil {
				t.Fatalf("nobody listens any more: %v", err)
			}
			defer c.Close()
			theirs.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
			in, err := theirs.Accept()
			if err != nil {
				t.Fatalf("the copy does not accept: %v", err)
			}
			in.Close()
		})
	}
}

// Somebody who shares the socket, or the kernel's word for another call, may have
// taken the error that a reset leaves once. TCP_INFO still tells it from an end.
func TestSwallowedReset(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	reset(peer)
	k := s.t.(*kernelTransport)
	for end := time.Now().Add(patience); k.option(unix.SOL_SOCKET, unix.SO_ERROR) != int(syscall.ECONNRESET); {
		if time.Now().After(end) {
			t.Fatal("the reset does not come")
		}
	}
	if n, err := r.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read: %d, %v; want a reset", n, err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Write: %v; want the same reset", err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// With our FIN out, the end of the peer's stream leaves the state CLOSE too, and
// is an end.
func TestEndAfterOurFIN(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	drop(t, w.Drop)
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer saw %v", err)
	}
	peer.Write([]byte("answer"))
	peer.Close()
	for end := time.Now().Add(patience); !s.t.vanished(); {
		if time.Now().After(end) {
			t.Fatal("the connection does not come to CLOSE")
		}
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "answer" {
		t.Errorf("%q, %v", b, err)
	}
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// No listener and no dialled socket is of Multipath TCP unless asked for: package
// net would make listeners so.
func TestMultipathIsOff(t *testing.T) {
	for options, wants := range map[string]int{"": unix.IPPROTO_TCP, "?mptcp=true": unix.IPPROTO_MPTCP} {
		l, err := listenAt(t, "127.0.0.1:0"+options)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.option(t, unix.SOL_SOCKET, unix.SO_PROTOCOL); got != wants {
			if options != "" && os.Getenv("CI") != "true" {
				t.Logf("this kernel has no Multipath TCP: %d", got)
				continue
			}
			t.Errorf("%q: a listener's protocol is %d, want %d", options, got, wants)
		}
	}
}

// Without a host a listener takes both families' connections.
func TestDualStack(t *testing.T) {
	l, err := listenAt(t, ":0")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		peer, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(l.Addr().Port)))
		if err != nil {
			t.Errorf("at %s: %v", host, err)
			continue
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if from, _, _ := net.SplitHostPort(in.RemoteAddr()); from != host {
			t.Errorf("from %s: %s", host, in.RemoteAddr())
		}
		in.Refuse()
		peer.Close()
	}
}

// What a report says of the kernel is final, also when it would be otherwise by
// now.
func TestKernelStateIsFinal(t *testing.T) {
	s, peer := connect(t, kinds(t)["unix"], lifetime.Refcount)
	copied := -1
	s.t.(*kernelTransport).control(func(fd int) { copied, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	first, err := s.Shutdown(t.Context(), errTest)
	if err != nil || first.Kernel != Shared {
		t.Errorf("%+v, %v; want it shared", first, err)
	}
	unix.Close(copied)
	if again, err := s.Shutdown(t.Context(), nil); err != nil || again.Kernel != Shared || again.Took != first.Took {
		t.Errorf("later: %+v, %v", again, err)
	}
	peer.Close()
}

// With all acknowledged a drain still waits for the peer's FIN: what it sends until
// then is read, and not answered with a reset, also after the mode stop.
func TestDrainAwaitsFIN(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	r.SetDropMode(DropStop)
	w.Write([]byte("answer"))
	drop(t, w.Drop)
	if b, err := io.ReadAll(peer); string(b) != "answer" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	for end := time.Now().Add(patience); s.t.unsent() > 0; {
		if time.Now().After(end) {
			t.Fatal("our FIN is not acknowledged")
		}
	}
	drop(t, r.Drop, s.dropOnly)
	if s.node.State() != lifetime.Draining {
		t.Errorf("%v, and the peer has not finished", s.node.State())
	}
	if n, err := peer.Write(make([]byte, 8<<20)); err != nil {
		t.Errorf("the peer wrote %d: %v", n, err)
	}
	if err := peer.CloseWrite(); err != nil {
		t.Error(err)
	}
	within(t, s.node.Done(), "the release")
	if s.node.End() != lifetime.Dropped {
		t.Errorf("the end is %v, %v", s.node.End(), s.node.Err())
	}
}
