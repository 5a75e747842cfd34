package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// A refusal is a system call that a seccomp(2) filter answers in the kernel's
// place.
type refusal struct {
	call  uint32
	first uint32 // the first argument, or anything
	with  syscall.Errno
}

const anything = ^uint32(0)

// refused runs f on a thread on which the kernel refuses a call. The thread ends
// with it: a filter is for good.
func refused(t *testing.T, r refusal, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := r.install()
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("seccomp: %v", err)
	}
}

func (r refusal) install() error {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: k}
	}
	end := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	// The offsets are those of struct seccomp_data: nr, and the lower half of
	// args[0].
	first := uint32(16)
	if *(*byte)(unsafe.Pointer(&first)) == 0 {
		first = 20 // big-endian
	}
	filter := []unix.SockFilter{load(0), unless(r.call, 1), end(unix.SECCOMP_RET_ERRNO | uint32(r.with)), end(unix.SECCOMP_RET_ALLOW)}
	if r.first != anything {
		filter = []unix.SockFilter{load(0), unless(r.call, 3), load(first), unless(r.first, 1), filter[2], filter[3]}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// netlinkRefusals are ways in which a machine has no sock_diag for us, and what a
// report says then.
var netlinkRefusals = []struct {
	refusal
	why string
}{
	{refusal{unix.SYS_SOCKET, unix.AF_NETLINK, syscall.EAFNOSUPPORT}, "netlink: address family not supported by protocol"},
	{refusal{unix.SYS_SOCKET, unix.AF_NETLINK, syscall.EPROTONOSUPPORT}, "netlink: protocol not supported"},
	{refusal{unix.SYS_SOCKET, unix.AF_NETLINK, syscall.EPERM}, "netlink: operation not permitted"},
	{refusal{unix.SYS_SENDTO, anything, syscall.EACCES}, "netlink sendto: permission denied"},
	{refusal{unix.SYS_RECVFROM, anything, syscall.EPERM}, "netlink recv: operation not permitted"},
}

// Without netlink a shutdown ends the connection all the same, and says that it
// cannot prove it, and why.
func TestShutdownWithoutNetlink(t *testing.T) {
	for _, c := range netlinkRefusals {
		eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
			leak.Check(t)
			r, _ := halves(t, s)
			read := blockedRead(t, r)
			refused(t, c.refusal, func() {
				report, err := s.Shutdown(t.Context(), errTest)
				if err != nil || report.State != lifetime.Released || report.End != lifetime.ShutDown {
					t.Errorf("%+v, %v", report, err)
				}
				if report.Kernel != Unverified || report.Why != c.why {
					t.Errorf("%s, %q; want it unverified: %q", report.Kernel, report.Why, c.why)
				}
			})
			if err := told(t, read); !errors.Is(err, errTest) {
				t.Errorf("the blocked Read: %v", err)
			}
			if kernelOf(s.t).control(func(int) {}) {
				t.Error("the descriptor is still open")
			}
			if _, err := peer.Read(make([]byte, 1)); isTCP(peer) && !errors.Is(err, syscall.ECONNRESET) || !isTCP(peer) && err != io.EOF {
				t.Errorf("the peer saw %v", err)
			}
			// Who asks later gets the same, although netlink would answer now.
			if again, err := s.Shutdown(t.Context(), nil); err != nil || again.Kernel != Unverified || again.Why != c.why {
				t.Errorf("later: %+v, %v", again, err)
			}
			peer.Close()
		})
	}
}

// Netlink that goes away in the middle is no proof either: the connection was
// found before, and nobody can tell after.
func TestNetlinkRefusedBetween(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	id := s.identify()
	if !id.found {
		t.Fatal(id.why)
	}
	c := netlinkRefusals[0]
	refused(t, c.refusal, func() {
		if state, why := id.after(); state != Unverified || why != c.why {
			t.Errorf("%s, %q", state, why)
		}
	})
	peer.Close()
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// A connection that was closed before the first shutdown cannot be found, and so
// not be proven gone.
func TestShutdownAfterTheEnd(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	peer.Close()
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
	report, err := s.Shutdown(t.Context(), errTest)
	if err != nil || report.Kernel != Unverified || report.Why != "the descriptor was closed before" {
		t.Errorf("%+v, %v", report, err)
	}
}

// namespaceVar makes this test binary a program in a network namespace of its
// own.
const namespaceVar = "RELAYD_TEST_NAMESPACE"

// inNamespace runs the test again, in a new network namespace, in which it is
// root, with some files from here on as descriptors 3 and up. It returns what
// that prints. Without leave to make namespaces it reports false, but not in
// continuous integration.
func inNamespace(t *testing.T, files ...*os.File) (string, bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), namespaceVar+"=1")
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), true
	case errors.As(err, &exit) || os.Getenv("CI") == "true":
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	t.Logf("without a namespace: %v", err)
	return "", false
}

// A connection of another network namespace, whose descriptor was passed to us,
// is ended, and not proven gone: our namespace has never shown it.
func TestShutdownInOtherNamespace(t *testing.T) {
	if os.Getenv(namespaceVar) != "" {
		shutDownPassed(t)
		return
	}
	for name, text := range loopKinds(t) { // those that package net can make
		network := "tcp"
		if name == "unix" {
			network = "unix"
		}
		ln, err := net.Listen(network, text)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		f, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		said, ok := inNamespace(t, f)
		f.Close()
		c.Close()
		if !ok {
			return
		}
		if !strings.Contains(said, "unverified: the connection is in another network namespace\n") {
			t.Errorf("%s: %s", name, said)
		}
		if _, err := peer.Read(make([]byte, 1)); name != "unix" && !errors.Is(err, syscall.ECONNRESET) || name == "unix" && err != io.EOF {
			t.Errorf("%s: the peer saw %v", name, err)
		}
	}
}

// shutDownPassed is the child.
func shutDownPassed(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "fd://3"), At{})
	if err != nil {
		t.Fatal(err)
	}
	halves(t, s)
	report, err := s.Shutdown(t.Context(), errTest)
	if err != nil || report.State != lifetime.Released {
		t.Errorf("%+v, %v", report, err)
	}
	if flags(3, unix.F_GETFD) >= 0 || s.t.(*kernelTransport).control(func(int) {}) {
		t.Error("the descriptor is still open")
	}
	fmt.Printf("%s: %s\n", report.Kernel, report.Why)
}
