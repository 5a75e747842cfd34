package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unreadOf and unsentOf return the lengths of fd's queues: see tcp(7) and
// unix(7), SIOCINQ and SIOCOUTQ.

func unreadOf(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return n
}

func unsentOf(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n
}

// disconnectTCP resets a connection and frees the kernel's state of it at once,
// whoever else has a copy of the descriptor: connect(2) with AF_UNSPEC.
func disconnectTCP(fd int) syscall.Errno {
	unspec := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspec)), unsafe.Sizeof(unspec))
	return errno
}

// discardTCP takes up to len(p) bytes off a connection's receive queue without
// copying them: tcp(7), MSG_TRUNC.
func discardTCP(fd int, p []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_TRUNC)
	return n, err
}

// tcpClose is TCP_CLOSE of the kernel's include/net/tcp_states.h.
const tcpClose = 7

// closedTCP reports whether the connection of fd is in the state CLOSE.
func closedTCP(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == tcpClose
}

// maxUnixPath is how long a Unix socket's path may be: sun_path, less its final
// zero byte.
const maxUnixPath = 107

// pipeBuf is how much a pipe takes at once that poll(2) calls writable: see
// pipe(7), PIPE_BUF.
const pipeBuf = 4096

// replaceFD makes to a copy of from, without close-on-exec.
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }

// streamPair returns two connected Unix sockets, with close-on-exec.
func streamPair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
