package socket

import "syscall"

// The calls are the system calls that move bytes. None of them waits, because
// the descriptors are non-blocking; the interface is there so that tests can
// answer in the kernel's place.
type calls interface {
	read(fd int, p []byte) (int, syscall.Errno)
	write(fd int, p []byte) (int, syscall.Errno)
	// spliceIn moves up to n bytes from a socket into a pipe, and spliceOut
	// from a pipe to a socket.
	spliceIn(fd, pipe, n int) (int, syscall.Errno)
	spliceOut(pipe, fd, n int) (int, syscall.Errno)
}

// kernel makes the calls.
type kernel struct{}
