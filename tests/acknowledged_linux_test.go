package tests

import (
	"context"
	"syscall"
	"time"
	"unsafe"
)

// acknowledged waits until the peer's system has all that was written to c: a
// reset throws away what has not left yet. See SIOCOUTQ in tcp(7).
func acknowledged(c conn) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var left int32
		var errno syscall.Errno
		if err := raw.Control(func(fd uintptr) {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&left)))
		}); err != nil {
			return err
		}
		if errno != 0 {
			return errno
		}
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
