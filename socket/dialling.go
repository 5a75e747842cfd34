package socket

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A Dialling is a dial under way on a loop.
type Dialling struct {
	d        *Dialer
	at       At
	on       *Loop
	of       *kernelTransport // who waits, and should not go away; or nil
	done     Dialled
	t        *kernelTransport // what connects; nil before and after
	until    time.Time        // the zero time: for ever
	next     *Dialling        // in the loop's queue
	canceled atomic.Bool
	over     bool
	retry    *time.Timer
}

// ErrPeerGone is returned by [Loop.Dial] when the one that it was for has reset
// its connection.
var ErrPeerGone = errors.New("who wanted it has gone")

// Dial connects to d's address, for which [Dialer.OnLoop] holds, and returns at
// once: done is told the end, on the loop. A negative timeout is none. If of,
// when it is not nil, is reset by its peer meanwhile, the dial ends with
// [ErrPeerGone]; of is the one that the connection is for, and will be copied
// from and to on this loop.
func (l *Loop) Dial(d *Dialer, at At, timeout time.Duration, of *Socket, done Dialled) *Dialling {
	g := &Dialling{d: d, at: at, on: l, done: done}
	if of != nil {
		g.of, _ = of.t.(*kernelTransport)
	}
	if timeout >= 0 {
		g.until = time.Now().Add(timeout)
	}
	l.post(g)
	return g
}

// Cancel ends the dial with [net.ErrClosed], unless it has ended. Any goroutine
// may call it, any number of times.
func (g *Dialling) Cancel() {
	g.canceled.Store(true)
	g.on.post(g)
}

// visit begins the dial, tries again, or cancels it.
func (g *Dialling) visit(l *Loop) {
	switch {
	case g.over:
	case g.canceled.Load():
		g.end(l, net.ErrClosed)
	case g.t == nil:
		g.begin(l)
	}
}

// begin makes the socket and begins to connect.
func (g *Dialling) begin(l *Loop) {
	if g.of != nil && g.of.dial == nil {
		if err := g.of.adopt(l); err != nil {
			g.end(l, err)
			return
		}
		g.of.dial = g
	}
	if g.at.In == nil {
		g.at.In = new(Socket)
	}
	switch fd, err := g.d.begin(); err {
	case nil, syscall.EINPROGRESS:
		connected := err == nil
		g.t = &g.at.In.k
		g.t.loosen(fd, g.d.a.Kind == TCP)
		if err := g.t.adopt(l); err != nil {
			g.end(l, err)
			return
		}
		g.t.dial = g
		if g.t.tcp && l.late.IsZero() {
			l.late = time.Now().Add(lateOptions)
		}
		if connected {
			g.end(l, nil)
			return
		}
		if !g.until.IsZero() {
			l.dials.add(g)
		}
	case syscall.EAGAIN:
		// A Unix listener with a full backlog. No event will tell when it
		// has room.
		if !g.until.IsZero() && time.Until(g.until) < dialRetry {
			g.end(l, syscall.ETIMEDOUT)
			return
		}
		g.retry = time.AfterFunc(dialRetry, g.again)
	default:
		g.end(l, err)
	}
}

// dialRetry is when a Unix listener that was full is tried again.
const dialRetry = 5 * time.Millisecond

func (g *Dialling) again() { g.on.post(g) }

// heard is told of events of both: of what connects, and of who waits.
func (g *Dialling) heard(l *Loop, t *kernelTransport, e event) {
	switch {
	case t == g.of:
		if e&isDead != 0 {
			g.end(l, ErrPeerGone)
		}
	case e&isDead != 0:
		g.end(l, socketError(int(t.fd)))
	case e&canWrite != 0:
		g.end(l, nil)
	}
}

// end tells the end: with err, or with a socket.
func (g *Dialling) end(l *Loop, err error) {
	g.over = true
	if g.retry != nil {
		g.retry.Stop()
	}
	if g.of != nil && g.of.dial == g {
		g.of.dial = nil
		if err != nil {
			g.of.released(l)
		}
	}
	t := g.t
	g.t = nil // and g.next stays: the queue goes on behind it
	at := g.at
	done := g.done
	g.at, g.of, g.done = At{}, nil, nil
	if t != nil {
		t.dial = g.d.over // for the options that are still to be set
	}
	var s *Socket
	switch {
	case err == nil:
		s, err = open(t, at)
	case t != nil:
		t.released(l)
		t.Close()
	}
	if err != nil {
		err = &Error{Op: "dial", Remote: g.d.a.String(), Err: err}
	}
	done.Dialled(l, s, err)
}

// A dialQueue holds the dials that have a deadline, in the order of their
// beginning. Those of one upstream have their deadlines in the same order;
// among several, one may be noticed as late as the one before it.
type dialQueue struct{ first, last *Dialling }

func (q *dialQueue) add(g *Dialling) {
	if q.last == nil {
		q.first = g
	} else {
		q.last.next = g
	}
	q.last = g
}

// next returns the first deadline, or the zero time.
func (q *dialQueue) next() time.Time {
	for q.first != nil && q.first.over {
		q.pop()
	}
	if q.first == nil {
		return time.Time{}
	}
	return q.first.until
}

func (q *dialQueue) pop() {
	g := q.first
	q.first, g.next = g.next, nil
	if q.first == nil {
		q.last = nil
	}
}

// expire ends the dials whose time is up.
func (q *dialQueue) expire(l *Loop) {
	for until := q.next(); !until.IsZero() && !time.Now().Before(until); until = q.next() {
		g := q.first
		q.pop()
		g.end(l, syscall.ETIMEDOUT)
	}
}
