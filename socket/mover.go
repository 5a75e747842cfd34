package socket

import "syscall"

// A mover is one direction of plain bytes on their way between two sockets: the
// bytes that were read and not written yet, and how to get the next ones. It
// never waits. Who waits, and how, is the business of two others: a flow, on an
// event loop, and [Copy], on a goroutine.
//
// Small messages are copied through a buffer, bulk goes through a pipe that the
// kernel moves pages with (splice(2)): a read that fills the buffer begins it,
// a few small ones in a row end it. Idle, a mover holds neither.
type mover struct {
	buf      *buffer // what was read is buf[from:to]
	from, to int32
	pipe     *pipe // what was spliced is the first piped bytes of it
	piped    int32
	state    outcome // of the last step; moved: another one is due
	small    uint8   // how many splices in a row were small, or sourceEnded
	owned    bool    // buf is of the pool, and goes back to it
	bulk     bool    // splice, if there is a pipe to be had
}

// When to splice, measured on loopback: copying wins up to messages of 16 to 32
// kB, splicing from 64 kB on.
const (
	smallSplice = 16 << 10
	smallRun    = 4
	sourceEnded = 255
)

// An outcome is what became of a try to move bytes.
type outcome uint8

const (
	moved     outcome = iota // some were: try on
	wantRead                 // the source has nothing now
	wantWrite                // the destination takes nothing now
	atEnd                    // the source has ended
	failed                   // for good: see the errno
)

// ended reports whether the source has.
func (m *mover) ended() bool { return m.small == sourceEnded }

// holding returns how many bytes were read and not written.
func (m *mover) holding() int { return int(m.to-m.from) + int(m.piped) }

// pull reads from the source, into a pipe or into b, which m keeps while it
// holds bytes of it. Nothing is held before. n is how many bytes came, and filled
// says that more may be there at once; if none came, at urgent data only.
func (m *mover) pull(k calls, src int, b *buffer, pool *pipePool) (n int, filled bool, o outcome, errno syscall.Errno) {
	m.bulk = m.bulk && pool != nil
	if m.bulk {
		if m.pipe == nil {
			m.pipe = pool.get()
		}
		m.bulk = m.pipe != nil
	}
	if m.bulk {
		n, o, errno = m.splice(k, src)
		if o != moved {
			m.letGo(pool)
		}
		switch {
		case o == atEnd: // a read has the last word: see pass
		case o == failed && errno == syscall.EINVAL: // this kind of socket cannot be spliced from
			m.bulk, pool = false, nil
		default:
			return n, true, o, errno
		}
	}
	n, errno = k.read(src, b[:])
	switch {
	case errno == syscall.EAGAIN:
		return 0, false, wantRead, 0
	case errno != 0:
		return 0, false, failed, errno
	case n == 0:
		m.small = sourceEnded
		return 0, false, atEnd, 0
	}
	m.buf, m.from, m.to = b, 0, int32(n)
	filled = n == len(b)
	m.bulk = m.bulk || filled && pool != nil
	return n, filled, moved, 0
}

// pass is pull after one that was filled, and has found nothing. At urgent data
// splice(2) stops for good, and has an end if one is anywhere behind them: a read
// passes them.
func (m *mover) pass(k calls, src int, b *buffer) (n int, filled bool, o outcome, errno syscall.Errno) {
	n, filled, o, errno = m.pull(k, src, b, nil)
	m.bulk = true
	return n, filled, o, errno
}

// splice fills the pipe.
func (m *mover) splice(k calls, src int) (int, outcome, syscall.Errno) {
	n, errno := k.spliceIn(src, m.pipe.w, m.pipe.size)
	switch {
	case errno == syscall.EAGAIN:
		return 0, wantRead, 0
	case errno != 0:
		return 0, failed, errno
	case n == 0:
		return 0, atEnd, 0
	}
	m.piped = int32(n)
	if n >= smallSplice {
		m.small = 0
	} else if m.small++; m.small == smallRun {
		m.small, m.bulk = 0, false
	}
	return n, moved, 0
}

// push writes what is held, as far as the destination takes it.
func (m *mover) push(k calls, dst int) (n int, o outcome, errno syscall.Errno) {
	if m.piped > 0 {
		n, errno = k.spliceOut(m.pipe.r, dst, int(m.piped))
	} else {
		n, errno = k.write(dst, m.buf[m.from:m.to])
	}
	switch {
	case errno == syscall.EAGAIN:
		return 0, wantWrite, 0
	case errno != 0:
		return 0, failed, errno
	}
	m.took(n)
	return n, moved, 0
}

// took notes that n of the bytes held were written.
func (m *mover) took(n int) {
	if m.piped > 0 {
		m.piped -= int32(n)
	} else if m.from += int32(n); m.from == m.to {
		m.empty()
	}
}

// empty forgets the buffer.
func (m *mover) empty() {
	if m.owned {
		buffers.put(m.buf)
	}
	m.buf, m.from, m.to, m.owned = nil, 0, 0, false
}

// own makes what is held independent of b, the buffer of somebody else.
func (m *mover) own(b *buffer) {
	if m.buf != b || b == nil {
		return
	}
	m.buf, m.owned = buffers.get(), true
	m.to = int32(copy(m.buf[:], b[m.from:m.to]))
	m.from = 0
}

// letGo gives the pipe back, if there is one and it is empty.
func (m *mover) letGo(pool *pipePool) {
	if m.pipe != nil && m.piped == 0 {
		pool.put(m.pipe)
		m.pipe = nil
	}
}

// discard gives up what is held, and returns how many bytes that were.
func (m *mover) discard(pool *pipePool) int {
	lost := m.holding()
	if m.piped > 0 {
		pool.close(m.pipe) // a pipe with bytes in it would give them to the next one
		m.pipe, m.piped = nil, 0
	}
	m.letGo(pool)
	m.empty()
	return lost
}
