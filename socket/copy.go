package socket

import (
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Copy moves bytes from src to dst until src's end, which is nil, or an error,
// and adds to moved as it goes. It is the one place where unchanged bytes pass
// from socket to socket. While nothing arrives it holds no buffer.
//
// written reports whether the error is dst's.
func Copy(dst *WriteHalf, src *ReadHalf, moved *atomic.Int64) (written bool, err error) {
	for {
		b, n, err := src.readLazy()
		if n > 0 {
			n, err := dst.Write(b[:n])
			moved.Add(int64(n))
			buffers.put(b)
			if err != nil {
				return true, err
			}
			continue
		}
		if b != nil {
			buffers.put(b)
		}
		if err == io.EOF {
			return false, nil
		}
		return false, err
	}
}

// readLazy is Read into a buffer of the pool, which it takes when bytes have
// arrived and not before. The caller gives the buffer back.
func (r *ReadHalf) readLazy() (*buffer, int, error) {
	if err := r.node.Enter(); err != nil {
		return nil, 0, r.s.error("read", err)
	}
	defer r.node.Leave()
	b, n, err := r.lazy.read(r.s.t)
	if err != nil {
		err = r.failed(err)
	}
	return b, n, err
}

// A lazyRead is the state of readLazy, kept so that it allocates once.
type lazyRead struct {
	try  func(fd uintptr) bool
	recv func(fd int, p []byte) (int, error) // read(2), or discardTCP
	buf  *buffer
	n    int
	err  error
}

func (l *lazyRead) read(t transport) (*buffer, int, error) {
	k, ok := t.(*kernelTransport)
	if !ok {
		b := buffers.get()
		n, err := t.Read(b[:])
		return b, n, err
	}
	if l.try == nil {
		l.try, l.recv = l.tryRead, unix.Read
	}
	l.buf, l.n, l.err = nil, 0, nil
	err := k.raw.Read(l.try)
	if err == nil {
		err = l.err
	}
	if err == nil && l.n == 0 {
		err = io.EOF
	}
	return l.buf, l.n, err
}

// discard makes later reads throw their bytes away, in the kernel where it can.
func (l *lazyRead) discard(t transport) {
	if k, ok := t.(*kernelTransport); ok && k.tcp {
		l.try, l.recv = l.tryRead, discardTCP
	}
}

// tryRead reads without waiting, and reports whether that was enough.
func (l *lazyRead) tryRead(fd uintptr) bool {
	l.buf = buffers.get()
	for {
		l.n, l.err = l.recv(int(fd), l.buf[:])
		if l.err != unix.EINTR {
			break
		}
	}
	if l.err == nil {
		return true
	}
	l.n = 0
	buffers.put(l.buf)
	l.buf = nil
	return l.err != unix.EAGAIN
}
