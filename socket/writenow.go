package socket

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// WriteNow writes all of p, or fails: what the send buffer has no room for is an
// error, [io.ErrShortWrite]. It is for a few bytes at the beginning of a
// connection, before anybody copies to the half: on the loop that has dialled it,
// where [WriteHalf.Write] cannot wait, or on any goroutine if no loop has it. Kinds
// that are not the system's sockets wait as Write does.
func (w *WriteHalf) WriteNow(p []byte) error {
	if err := w.node.Enter(); err != nil {
		return w.socket().error("write", err)
	}
	defer w.node.Leave()
	t, ok := w.socket().t.(interface{ writeNow([]byte) (int, error) })
	var n int
	var err error
	if ok {
		n, err = t.writeNow(p)
	} else {
		n, err = w.socket().t.Write(p)
	}
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return w.failed(err)
	}
	return nil
}

// writeNow writes what there is room for.
func (t *kernelTransport) writeNow(p []byte) (n int, err error) {
	if t.loop.Load() != nil && t.dial != nil {
		t.prepareWrite() // the next one is the second
	}
	open := t.control(func(fd int) {
		for {
			if n, err = unix.Write(fd, p); err != syscall.EINTR {
				return
			}
		}
	})
	switch {
	case !open:
		err = syscall.EBADF
	case err == syscall.EAGAIN:
		n, err = 0, nil
	}
	return max(n, 0), err
}
