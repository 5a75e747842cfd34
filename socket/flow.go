package socket

import (
	"io"
	"os"
	"unsafe"

	"relayd/lifetime"
)

// A flow is one direction of plain bytes on an event loop: a mover, and what it
// waits for. It stands in the read half that it copies from, so that a
// connection on a loop is no more than its sockets.
//
// From its start to its end it is one operation inside both halves. All of it
// belongs to the loop's goroutine; others poke the loop.
type flow struct {
	m    mover
	w    *WriteHalf
	done Copied
	next *flow // in the loop's queue
}

// half returns the read half.
func (f *flow) half() *ReadHalf {
	return (*ReadHalf)(unsafe.Add(unsafe.Pointer(f), -int(unsafe.Offsetof(ReadHalf{}.flow))))
}

// flowBudget is how many bytes a flow moves before others have their turn.
const flowBudget = 1 << 20

// Copy moves bytes from src to dst as the function Copy does, and returns at
// once: done is told the end. Both sockets must be connections of the system's,
// that no operation but this copy and the one in the other direction waits for;
// [Loop.Fits] tells. If a half was dropped or shut down, Copy returns the error,
// and done is not called.
func (l *Loop) Copy(dst *WriteHalf, src *ReadHalf, done Copied) (written bool, err error) {
	if err := src.node.Enter(); err != nil {
		return false, src.socket().error("read", err)
	}
	if err := dst.node.Enter(); err != nil {
		src.node.Leave()
		return true, dst.socket().error("write", err)
	}
	f := &src.flow
	*f = flow{w: dst, done: done}
	l.post(f)
	return false, nil
}

// Fits reports whether a loop can copy from and to a socket: it is a connection
// of the system's, and not, for one, a program.
func (l *Loop) Fits(s *Socket) bool {
	_, ok := s.t.(*kernelTransport)
	return ok
}

func (f *flow) source() *kernelTransport      { return f.half().socket().t.(*kernelTransport) }
func (f *flow) destination() *kernelTransport { return f.w.socket().t.(*kernelTransport) }

// visit begins the flow on the loop that it was posted to.
func (f *flow) visit(l *Loop) {
	src, dst := f.source(), f.destination()
	if err := src.adopt(l); err != nil {
		f.refuse(false, err)
		return
	}
	if err := dst.adopt(l); err != nil {
		src.released(l)
		f.refuse(true, err)
		return
	}
	src.in, dst.out = f, f
	src.visit(l) // a drop may have been before
	if src.in == f {
		dst.visit(l)
	}
	if src.in == f {
		l.enqueue(f)
	}
}

// refuse ends a flow that could not begin.
func (f *flow) refuse(written bool, err error) {
	if written {
		err = f.w.failed(err)
	} else {
		err = f.half().failed(err)
	}
	f.leave(written, err)
}

// step moves bytes until one side has none, or takes none, or the budget is
// used up.
func (f *flow) step(l *Loop) {
	src, dst := f.source(), f.destination()
	for budget := flowBudget; ; {
		for f.m.holding() > 0 {
			if dst.dial != nil {
				dst.prepareWrite()
			}
			n, o, errno := f.m.push(l.calls, int(dst.fd))
			f.done.Progress().Out.Add(int64(n))
			budget -= n
			switch o {
			case wantWrite:
				f.m.own(&l.scratch)
				f.m.state = wantWrite
				return
			case failed:
				f.end(l, true, errno)
				return
			}
		}
		switch {
		case f.half().resume(&f.m) > 0:
			continue
		case f.m.ended():
			f.end(l, false, io.EOF)
			return
		case src.events&stopRead != 0:
			f.end(l, false, os.ErrDeadlineExceeded)
			return
		case budget <= 0:
			l.enqueue(f)
			return
		case f.again(l):
			continue
		case src.events&readable == 0:
			f.m.letGo(&pipes)
			f.m.state = wantRead
			return
		}
		if !f.pull(l, src) {
			return
		}
	}
}

// pull is the reading part of a step. It reports whether to go on.
func (f *flow) pull(l *Loop, src *kernelTransport) bool {
	w, pool := f.half().watcher(), &pipes
	if w != nil {
		pool = nil
	}
	n, filled, o, errno := f.m.pull(l.calls, int(src.fd), &l.scratch, pool)
	if o == wantRead && filled && src.events&urgent != 0 {
		n, filled, o, errno = f.m.pass(l.calls, int(src.fd), &l.scratch)
	}
	if w != nil && n > 0 {
		w.Saw(l.scratch[:n])
	}
	f.done.Progress().In.Add(int64(n))
	switch o {
	case failed:
		f.end(l, false, errno)
		return false
	case wantRead:
		src.events &^= readable | urgent
		f.m.state = wantRead
		return false
	case moved:
		// A read that came up short has emptied the queue, and what comes
		// next is a new event; unless the end has come already, or it was
		// urgent data that the read has stopped at.
		if !filled && src.events&(hungUp|urgent) == 0 {
			src.events &^= readable
		}
	}
	return true
}

// yield lets go of the flow.
func (f *flow) yield(l *Loop) {
	err := f.half().yield(&f.m)
	f.m.letGo(&pipes)
	f.detach(l)
	f.leave(false, err)
}

// woken ends the flow because a half of it was dropped or shut down. What was
// read is delivered if only the source was: also what an earlier copy has read, which
// a flow that has just begun does not hold yet.
func (f *flow) woken(l *Loop, write bool) {
	switch {
	case write:
		f.end(l, true, os.ErrDeadlineExceeded)
	case f.m.holding() == 0 && !f.half().carries():
		f.end(l, false, os.ErrDeadlineExceeded)
	}
}

// end lets go of everything and tells the end.
func (f *flow) end(l *Loop, written bool, err error) {
	src := f.source()
	cut := f.m.discard(&pipes) > 0
	f.detach(l)
	switch {
	case err == io.EOF && src.events&dead == 0 && f.half().wokenBy() == nil && f.half().socket().node.State() != lifetime.Closing:
		// No need to ask whether this is a reset: it would have been heard,
		// or met by a write of this loop's, which the socket remembers.
		err = f.half().ended(f.half().socket().failure() != nil)
	case !written:
		err = f.half().failed(err)
	case err == os.ErrDeadlineExceeded && !cut:
		// No Write was under way: the stream that was sent is whole.
		err = f.w.socket().error("write", f.w.socket().ownEnd(&f.w.node, f.w.wokenBy(), err))
	default:
		err = f.w.failed(err)
	}
	if err == io.EOF {
		err = nil
	}
	f.leave(written, err)
}

// detach takes the flow off its connections.
func (f *flow) detach(l *Loop) {
	src, dst := f.source(), f.destination()
	l.dequeue(f)
	src.in, dst.out = nil, nil
	src.released(l)
	dst.released(l)
}

// leave ends the operation. The flow may begin anew at once.
func (f *flow) leave(written bool, err error) {
	r, w, done := f.half(), f.w, f.done
	f.done = nil
	r.node.Leave()
	w.node.Leave()
	done.Copied(written, err)
}
