package socket

import "golang.org/x/sys/unix"

// newPipe returns a pipe that is worth splicing through, or nil: without
// descriptors, or where the system gives this user only small ones.
func newPipe() *pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	size, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil { // over the user's share
		size, err = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeFair)
	}
	if err != nil { // what is it, then?
		size, err = unix.FcntlInt(uintptr(fds[1]), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil || size < pipeLeast {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil
	}
	return &pipe{r: fds[0], w: fds[1], size: size}
}
