package socket

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrYielded is what a copy returns when it was asked to let go.
var ErrYielded = errors.New("the copy has let go, to go on elsewhere")

// A yielding is a copy being asked to let go.
type yielding struct {
	mu    sync.Mutex // held while a goroutine is woken for it, and while it lets go
	on    bool       // a goroutine reads, to copy or to stage
	to    *WriteHalf // where it copies to, if it is to be woken there
	carry []byte     // what was read, and not written
}

// Yield makes the copy from this half that is under way, on a loop or on a
// goroutine, or else the next one, end with [ErrYielded], between two moves. The
// bytes that it has read and not written stay with the half: they are the first
// that the next copy writes, on whichever side that runs. Of standard
// input the copy goes on until something arrives.
//
// To take both directions of a connection from a loop to goroutines, or back,
// have both copies yield, and begin them anew when both have.
func (r *ReadHalf) Yield() {
	s := r.socket()
	y := &s.unusual().yielding
	y.mu.Lock()
	defer y.mu.Unlock()
	s.marks.set(yieldAsked)
	if y.on {
		s.t.(nudged).nudge(reading)
		if y.to != nil {
			y.to.socket().t.(nudged).nudge(writing)
		}
	} else if k, ok := s.t.(*kernelTransport); ok {
		k.mu.Lock()
		k.poke()
		k.mu.Unlock()
	}
}

// A nudged transport wakes who waits in it, with [os.ErrDeadlineExceeded], until
// it is steadied.
type nudged interface {
	nudge(direction)
	steady(direction)
}

// Unyield takes a [ReadHalf.Yield] back that no copy has heard of yet.
func (r *ReadHalf) Unyield() { r.socket().marks.clear(yieldAsked) }

// yields reports whether the copy from r is to let go now. If so, it may.
func (r *ReadHalf) yields() bool { return r.socket().marks.has(yieldAsked) }

// yield lets go: it keeps what m holds.
func (r *ReadHalf) yield(m *mover) error {
	s := r.socket()
	y := &s.unusual().yielding
	y.mu.Lock()
	defer y.mu.Unlock()
	s.marks.clear(yieldAsked)
	y.carry = m.carry(y.carry)
	return ErrYielded
}

// begin notes that a goroutine copies from r to w, or stages if w is nil, and
// end that it does no more: whoever was nudged is so no more. Both sockets are
// parked before, as only who is can be nudged.

func (y *yielding) begin(r *ReadHalf, w *WriteHalf) {
	if !r.parks() {
		return
	}
	if w != nil && !w.parks() {
		w = nil
	}
	y.mu.Lock()
	y.on, y.to = true, w
	y.mu.Unlock()
}

func (y *yielding) end(r *ReadHalf) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.on {
		return
	}
	r.socket().t.(nudged).steady(reading)
	if y.to != nil {
		y.to.socket().t.(nudged).steady(writing)
	}
	y.on, y.to = false, nil
}

// parks parks a connection of the system's. It reports false for what cannot be
// nudged, and for what cannot be parked: the next operation will say why.

func (r *ReadHalf) parks() bool {
	if r.node.Enter() != nil {
		return false
	}
	defer r.node.Leave()
	return r.socket().parks()
}

func (w *WriteHalf) parks() bool {
	if w.node.Enter() != nil {
		return false
	}
	defer w.node.Leave()
	return w.socket().parks()
}

func (s *Socket) parks() bool {
	k, ok := s.t.(*kernelTransport)
	if !ok {
		_, ok = s.t.(nudged)
		return ok
	}
	_, err := k.park()
	return err == nil
}

// carries reports whether an earlier copy has left anything. It is for who copies now,
// or stages.
func (r *ReadHalf) carries() bool {
	x := r.socket().rare.Load()
	return x != nil && len(x.yielding.carry) > 0
}

// resume gives m what an earlier copy from r has left. It reports how much that
// is; more than a buffer full comes in several parts.
func (r *ReadHalf) resume(m *mover) int {
	if !r.carries() {
		return 0
	}
	y := &r.socket().rare.Load().yielding
	y.mu.Lock()
	defer y.mu.Unlock()
	m.buf, m.owned = buffers.get(), true
	n := copy(m.buf[:], y.carry)
	m.from, m.to = 0, int32(n)
	if y.carry = y.carry[n:]; len(y.carry) == 0 {
		y.carry = nil
	}
	return n
}

// carry takes what m holds out of it, in order, before what is in rest, which was
// to be moved after it.
func (m *mover) carry(rest []byte) []byte {
	if m.holding() == 0 {
		return rest
	}
	held := make([]byte, 0, m.holding()+len(rest))
	if m.buf != nil {
		held = append(held, m.buf[m.from:m.to]...)
		m.empty()
	}
	for m.piped > 0 {
		n, err := unix.Read(m.pipe.r, held[len(held):len(held)+int(m.piped)])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			panic("socket: a pipe holds less than was spliced into it")
		}
		held = held[:len(held)+n]
		m.piped -= int32(n)
	}
	return append(held, rest...)
}

// A direction is which of two operations is meant.
type direction bool

const (
	reading direction = false
	writing direction = true
)

// nudge wakes a goroutine that waits for the connection, until steady.
func (t *kernelTransport) nudge(d direction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := t.parked.Load(); {
	case p == nil:
	case d == reading:
		p.interruptRead()
	default:
		p.interruptWrite()
	}
}

// steady takes a nudge back, unless an interrupt has come for good.
func (t *kernelTransport) steady(d direction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := t.parked.Load(); {
	case p == nil:
	case d == reading && !t.noRead:
		p.deadlines.resume(&p.deadlines.read, p.netConn.SetReadDeadline)
	case d == writing && !t.noWrite:
		p.deadlines.resume(&p.deadlines.write, p.netConn.SetWriteDeadline)
	}
}
