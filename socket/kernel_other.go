//go:build !linux

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// fionread is FIONREAD of the BSDs' sys/filio.h.
const fionread = 0x4004667f

// unreadOf returns how much has arrived.
func unreadOf(fd int) int {
	n, _ := unix.IoctlGetInt(fd, fionread)
	return n
}

// unsentOf is not known here.
func unsentOf(int) int { return 0 }

// discardTCP reads, and p is thrown away.
func discardTCP(fd int, p []byte) (int, error) { return unix.Read(fd, p) }

// disconnectTCP is not to be had here.
func disconnectTCP(int) syscall.Errno { return syscall.ENOTSUP }

// closedTCP is not known here.
func closedTCP(int) bool { return false }

// maxUnixPath is how long a Unix socket's path may be: sun_path, less its final
// zero byte.
const maxUnixPath = 103

// pipeBuf is how much a pipe takes at once that poll(2) calls writable: the
// least that POSIX wants of PIPE_BUF.
const pipeBuf = 512

// replaceFD makes to a copy of from, without close-on-exec.
func replaceFD(from, to int) error { return unix.Dup2(from, to) }

// streamPair returns two connected Unix sockets, with close-on-exec.
func streamPair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	return pair, err
}
