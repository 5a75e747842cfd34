package socket

import (
	"errors"
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A poller is an epoll(7) instance and an eventfd(2) that wakes it. Connections
// are registered for everything, edge-triggered; listeners for one of several
// pollers to be woken by each connection, and as long as there is one.
type poller struct {
	epoll, event int
	events       [256]unix.EpollEvent
}

func (p *poller) open() error {
	var err error
	p.event = -1
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = p.control(p.event, 0, 0, unix.EPOLLIN|unix.EPOLLET)
	}
	if err != nil {
		p.close()
	}
	return err
}

func (p *poller) close() {
	unix.Close(p.epoll)
	if p.event >= 0 {
		unix.Close(p.event)
	}
}

// add registers a connection.
func (p *poller) add(fd int, slot, generation int32) error {
	return p.control(fd, slot, generation, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLPRI|unix.EPOLLET)
}

// addListener registers a listener.
func (p *poller) addListener(fd int, number int32) error {
	return p.control(fd, number, 0, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

func (p *poller) control(fd int, slot, generation int32, events uint32) error {
	e := unix.EpollEvent{Events: events, Fd: slot, Pad: generation}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// remove ends a registration.
func (p *poller) remove(fd int) { unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) }

// wake ends a wait, from any goroutine.
func (p *poller) wake() {
	one := [8]byte{1}
	unix.Write(p.event, one[:])
}

// look asks for events without waiting. It returns how many there are.
func (p *poller) look() int { return p.raw(0) }

// waitBriefly waits without telling the scheduler.
func (p *poller) waitBriefly(until time.Time) int { return p.raw(timeout(until, briefWait)) }

// wait waits until something happens.
func (p *poller) wait(until time.Time) int {
	n, err := unix.EpollWait(p.epoll, p.events[:], timeout(until, -1))
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic("socket: epoll_wait: " + err.Error()) // the descriptor was closed by somebody else
	}
	return n
}

// raw is epoll_wait(2) past the scheduler.
func (p *poller) raw(ms int) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// timeout returns how many milliseconds there are until a time, at most limit,
// rounded up. The zero time never comes, and a negative limit is none: -1.
func timeout(until time.Time, limit time.Duration) int {
	if !until.IsZero() {
		left := max(time.Until(until), 0)
		if limit < 0 || left < limit {
			limit = left
		}
	}
	if limit < 0 {
		return -1
	}
	ms := limit / time.Millisecond
	if limit%time.Millisecond > 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32)) // sooner is no harm: the loop looks again
}

// dispatch passes the first n events on.
func (p *poller) dispatch(l *Loop, n int) {
	for i := range p.events[:max(n, 0)] {
		e := &p.events[i]
		if e.Fd == 0 {
			continue // woken; edge-triggered, the count need not be read
		}
		l.dispatch(e.Fd, e.Pad, eventOf(e.Events))
	}
}

func eventOf(bits uint32) (e event) {
	if bits&unix.EPOLLIN != 0 {
		e |= canRead
	}
	if bits&unix.EPOLLOUT != 0 {
		e |= canWrite
	}
	if bits&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= hasEnded
	}
	if bits&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= isDead
	}
	if bits&unix.EPOLLPRI != 0 {
		e |= isUrgent
	}
	return e
}
