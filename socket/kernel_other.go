//go:build !linux

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// fionread is FIONREAD of the BSDs' sys/filio.h.
const fionread = 0x4004667f

// queues returns how much has arrived; what is unsent is not known here.
func queues(fd int) (unread, unsent int) {
	unread, _ = unix.IoctlGetInt(fd, fionread)
	return unread, 0
}

// disconnectTCP is not to be had here.
func disconnectTCP(int) syscall.Errno { return syscall.ENOTSUP }

// closedTCP is not known here.
func closedTCP(int) bool { return false }

// maxUnixPath is how long a Unix socket's path may be: sun_path, less its final
// zero byte.
const maxUnixPath = 103
