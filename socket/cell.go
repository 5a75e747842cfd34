package socket

import (
	"errors"
	"net"
	"sync/atomic"
)

// A cell is what an event loop knows of a connection: where it is registered,
// what was heard of it, and who waits for that. A connection is registered once,
// for everything, edge-triggered, and stays registered until it is closed or
// parked.
type cell struct {
	loop   atomic.Pointer[Loop] // that counts the connection as its own
	in     *flow                // that copies from it
	out    *flow                // that copies to it
	dial   *Dialling            // while it connects, and a while after; or that waits with it
	slot   int32                // in the loop's table, for events; 0 for none. t.mu guards it
	joined bool                 // registered with the loop. t.mu guards it
	events uint8
}

// What is known of a cell's connection.
const (
	readable  uint8 = 1 << iota // a read may find something
	hungUp                      // the end, or an error, is behind what can be read
	stopRead                    // its read half was interrupted
	stopWrite                   // its write half was
	dead                        // both directions have ended, or an error waits
	written                     // something was written
	undelayed                   // the options for the second write are set
	urgent                      // a read may stop at urgent data, with more behind them
)

// errServed is returned to who waits for one half while a loop copies from or to
// the other: a socket has one way of waiting.
var errServed = errors.New("an event loop copies from or to this socket: its halves cannot be waited for one by one")

// adopt registers t with l. Nobody else waits for it.
func (t *kernelTransport) adopt(l *Loop) error {
	if err := t.unpark(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	on := t.loop.Load()
	switch {
	case t.fd < 0:
		return net.ErrClosed
	case t.joined && on != l:
		return errServed
	case t.joined && t.slot != 0:
		return nil
	case t.joined: // it was served before
		l.poller.remove(int(t.fd))
		t.joined = false
	}
	t.events &^= readable | hungUp | dead | urgent // the first event will tell
	t.slot = l.slots.assign(t)
	if err := l.poller.add(int(t.fd), t.slot, l.slots.at(t.slot).generation); err != nil {
		l.slots.vacate(t.slot)
		t.slot = 0
		return err
	}
	t.joined = true
	t.count(l)
	return nil
}

// released gives up the slot when no flow is left: events that come now are for
// nobody. The registration ends with the descriptor, or when somebody parks it.
func (t *kernelTransport) released(l *Loop) {
	if t.in != nil || t.out != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slot == 0 {
		return // it was never watched
	}
	l.slots.vacate(t.slot)
	t.slot = 0
}

// prepareWrite sets, before the second write, the option that matters then.
func (t *kernelTransport) prepareWrite() {
	switch {
	case t.events&written == 0:
		t.events |= written
	case t.events&undelayed == 0:
		t.events |= undelayed
		t.dial.d.setSecond(int(t.fd))
	}
}

// setLate sets all that is still to be set.
func (t *kernelTransport) setLate() {
	d := t.dial.d
	t.dial = nil
	d.setLate(int(t.fd))
	if t.events&undelayed == 0 {
		d.setSecond(int(t.fd))
	}
}

// leaveLoop ends the registration, before somebody else waits. t.mu is held.
func (t *kernelTransport) leaveLoop() error {
	if !t.joined {
		t.count(nil) // the loop has accepted it, and no more
		return nil
	}
	if t.slot != 0 {
		return errServed
	}
	if t.dial != nil {
		t.setLate() // the loop will not
	}
	t.loop.Load().poller.remove(int(t.fd))
	t.joined = false
	t.count(nil)
	return nil
}

// count makes l the loop that counts t. t.mu is held, or nobody has t yet.
func (t *kernelTransport) count(l *Loop) {
	old := t.loop.Swap(l)
	if old == l {
		return
	}
	if old != nil {
		old.conns.Add(-1)
	}
	if l != nil {
		l.conns.Add(1)
	}
}

// poke tells the loop that somebody was interrupted. t.mu is held.
func (t *kernelTransport) poke() {
	if t.joined {
		t.loop.Load().post(t)
	}
}

// visit looks at what others have done to t.
func (t *kernelTransport) visit(l *Loop) {
	t.mu.Lock()
	t.events &^= stopRead | stopWrite
	if t.noRead {
		t.events |= stopRead
	}
	if t.noWrite {
		t.events |= stopWrite
	}
	closed := t.slot != 0 && t.fd < 0
	t.mu.Unlock()
	if closed {
		t.released(l)
	}
	if t.out != nil && t.events&stopWrite != 0 {
		t.out.woken(l, true)
	}
	if t.in != nil && t.events&stopRead != 0 {
		t.in.woken(l, false)
	}
	if t.in != nil && t.in.half().yields() {
		t.in.yield(l)
	}
}

// heard takes note of an event, and wakes who waits for it.
func (t *kernelTransport) heard(l *Loop, e event) {
	if e&(canRead|hasEnded) != 0 {
		t.events |= readable
	}
	if e&isUrgent != 0 {
		t.events |= urgent
	}
	if e&hasEnded != 0 {
		t.events |= hungUp
	}
	if e&isDead != 0 {
		t.events |= dead
	}
	if t.dial != nil && !t.dial.over {
		t.dial.heard(l, t, e)
		return
	}
	if f := t.in; f != nil && f.m.state == wantRead && t.events&readable != 0 {
		l.enqueue(f)
	}
	if f := t.out; f != nil && f.m.state == wantWrite && e&(canWrite|isDead) != 0 {
		l.enqueue(f)
	}
}
