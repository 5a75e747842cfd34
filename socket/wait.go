package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// Waiting for bytes without reading them, and with a bound: so that who holds
// something for a stream can let go of it when the stream is silent.

// Wait waits until a Read would not, but no longer than d. It returns false if d
// has passed and nothing has come: no bytes, no end, no error. True may also
// mean that this kind of socket cannot tell, or that the half was interrupted:
// the next Read will say. A deadline that was set for reads is forgotten.
func (r *ReadHalf) Wait(d time.Duration) bool {
	if r.node.Enter() != nil {
		return true
	}
	defer r.node.Leave()
	if r.hasAgain() {
		return true
	}
	k, ok := r.socket().t.(interface{ wait(time.Duration) bool })
	return !ok || k.wait(d)
}

// wait waits on the runtime's poller.
func (t *kernelTransport) wait(d time.Duration) bool {
	p, err := t.park()
	if err != nil {
		return true
	}
	set := p.netConn.SetReadDeadline
	if p.deadlines.set(&p.deadlines.read, set, time.Now().Add(d)) != nil {
		return true
	}
	err = p.raw.Read(arrived)
	p.deadlines.set(&p.deadlines.read, set, time.Time{})
	return err == nil || p.deadlines.expired(&p.deadlines.read)
}

// arrived reports whether a read of fd would not wait. Of a queue's length the
// end of a stream does not show, of poll(2) it does.
func arrived(fd uintptr) bool {
	fds := [...]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n != 0 || err != nil && err != unix.EINTR
}
