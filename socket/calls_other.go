//go:build !linux

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func (kernel) read(fd int, p []byte) (int, syscall.Errno)  { return again(fd, p, unix.Read) }
func (kernel) write(fd int, p []byte) (int, syscall.Errno) { return again(fd, p, unix.Write) }

func again(fd int, p []byte, call func(int, []byte) (int, error)) (int, syscall.Errno) {
	for {
		n, err := call(fd, p)
		switch {
		case err == nil:
			return n, 0
		case err != unix.EINTR:
			return 0, err.(syscall.Errno)
		}
	}
}

// There is no splice here, and no pipe is ever handed out for one.
func (kernel) spliceIn(fd, pipe, n int) (int, syscall.Errno)  { return 0, syscall.ENOSYS }
func (kernel) spliceOut(pipe, fd, n int) (int, syscall.Errno) { return 0, syscall.ENOSYS }
