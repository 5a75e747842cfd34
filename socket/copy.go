package socket

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
)

// Moved is how much a copy has moved so far. Anybody may look at it while the
// copy runs. What is in and not out is on its way, or, when the copy has ended,
// lost.
type Moved struct{ In, Out atomic.Int64 }

// Copy moves bytes from src to dst until src's end, which is nil, or an error,
// and counts them in m as it goes. It is the one place where unchanged bytes
// pass from socket to socket on a goroutine; [Loop.Copy] is the same on an event
// loop. While nothing arrives it holds neither buffer nor pipe.
//
// written reports whether the error is dst's.
func Copy(dst *WriteHalf, src *ReadHalf, m *Moved) (written bool, err error) {
	c := copying{src: src, dst: dst, pool: &pipes}
	c.pulls, c.pushes = c.tryPull, c.tryPush
	_, fromKernel := src.socket().t.(*kernelTransport)
	_, toKernel := dst.socket().t.(*kernelTransport)
	if !fromKernel || !toKernel {
		c.pool = nil
	}
	y := &src.socket().unusual().yielding
	y.begin(src, dst)
	defer y.end(src)
	defer c.m.discard(&pipes)
	for {
		if src.yields() {
			return false, src.yield(&c.m)
		}
		n, err := c.pull()
		m.In.Add(int64(n))
		if errors.Is(err, os.ErrDeadlineExceeded) && src.yields() {
			continue
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for c.m.holding() > 0 {
			n, err := c.push()
			m.Out.Add(int64(n))
			if errors.Is(err, os.ErrDeadlineExceeded) && src.yields() {
				break
			}
			if err != nil {
				return true, err
			}
		}
	}
}

// A copying is a mover on a goroutine. Each pull is an operation of the read
// half, and each push one of the write half, so that either can be dropped while
// the other is waited for.
type copying struct {
	m    mover
	src  *ReadHalf
	dst  *WriteHalf
	pool *pipePool
	// The methods tryPull and tryPush, as they are called all the time.
	pulls, pushes func(fd uintptr) bool

	n     int
	o     outcome
	errno syscall.Errno
}

// pull waits until bytes are held.
func (c *copying) pull() (int, error) {
	r := c.src
	if r.resume(&c.m) > 0 { // also if r was dropped since: it was read before
		return 0, nil
	}
	if err := r.node.Enter(); err != nil {
		return 0, r.socket().error("read", err)
	}
	defer r.node.Leave()
	if c.again() {
		return c.n, nil
	}
	err := c.pullFrom(r.socket().t)
	if err != nil {
		return 0, r.failed(err)
	}
	return c.n, nil
}

func (c *copying) pullFrom(t transport) error {
	k, ok := t.(*kernelTransport)
	if !ok {
		b := buffers.get()
		n, err := t.Read(b[:])
		c.n = n
		c.m.buf, c.m.from, c.m.to, c.m.owned = b, 0, int32(n), true
		if n == 0 {
			c.m.empty()
		} else {
			err = nil // it comes again
			c.src.saw(b[:n])
		}
		return err
	}
	p, err := k.park()
	if err != nil {
		return err
	}
	if err := p.raw.Read(c.pulls); err != nil {
		return err
	}
	switch c.o {
	case atEnd:
		return io.EOF
	case failed:
		return c.errno
	}
	return nil
}

// tryPull reports whether there is nothing to wait for.
func (c *copying) tryPull(fd uintptr) bool {
	b := buffers.get()
	w, pool := c.src.watcher(), c.pool
	if w != nil {
		pool = nil
	}
	filled := false
	c.n, filled, c.o, c.errno = c.m.pull(kernel{}, int(fd), b, pool)
	if c.o == wantRead && filled { // who waits is not told of urgent data
		c.n, _, c.o, c.errno = c.m.pass(kernel{}, int(fd), b)
	}
	if c.m.buf == b {
		c.m.owned = true
		if w != nil {
			w.Saw(b[:c.n])
		}
	} else {
		buffers.put(b)
	}
	return c.o != wantRead
}

// push waits until some of what is held is written.
func (c *copying) push() (int, error) {
	w := c.dst
	if err := w.node.Enter(); err != nil {
		return 0, w.socket().error("write", err)
	}
	defer w.node.Leave()
	err := c.pushTo(w.socket().t)
	if err != nil {
		err = w.failed(err)
	}
	return c.n, err
}

func (c *copying) pushTo(t transport) error {
	c.n = 0
	k, ok := t.(*kernelTransport)
	if !ok {
		n, err := t.Write(c.m.buf[c.m.from:c.m.to])
		c.n = n
		c.m.took(n)
		return err
	}
	p, err := k.park()
	if err != nil {
		return err
	}
	if err := p.raw.Write(c.pushes); err != nil {
		return err
	}
	if c.o == failed {
		return c.errno
	}
	return nil
}

// tryPush is tryPull's counterpart.
func (c *copying) tryPush(fd uintptr) bool {
	c.n, c.o, c.errno = c.m.push(kernel{}, int(fd))
	return c.o != wantWrite
}
