package socket

import (
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A loopListener is a listener of the system's that accepts on event loops. All
// of them watch it, and the kernel wakes one for each connection. As long as a
// loop accepts, that is one operation of the listener.
type loopListener struct {
	of       *Listener
	fd       int
	tcp      bool
	s        *settings
	inherits bool // see kernelListener
	loops    *Loops
	h        Acceptor
	posts    []*post
	left     atomic.Int32 // posts that accept
}

// A post is where one loop accepts.
type post struct {
	ll       *loopListener
	on       *Loop
	number   int32 // in the loop's list: negative, 0 before
	watching bool  // registered
	over     bool
}

// AcceptOn makes the loops accept l's connections, and returns at once. h is
// called on the loops. It reports false if l is not a listener of the system's,
// or its connections have TLS, or on a system without loops: use Accept. Accept is not to be called after it.
func (l *Listener) AcceptOn(ls *Loops, h Acceptor) (bool, error) {
	k, ok := l.ln.(*kernelListener)
	if !ok || ls == nil || l.tls != nil {
		return false, nil
	}
	ll := &loopListener{of: l, s: k.s, inherits: k.inherits, loops: ls, h: h}
	// All of them are inside before anybody can wake one: the listener may be
	// dropped or shut down as it begins.
	if err := l.enter(len(ls.list)); err != nil {
		return false, l.error(err)
	}
	if err := ll.take(k); err != nil {
		l.leave(len(ls.list))
		return false, l.error(err)
	}
	ll.left.Store(int32(len(ls.list)))
	for _, on := range ls.list {
		ll.posts = append(ll.posts, &post{ll: ll, on: on})
	}
	l.mu.Lock()
	l.ln = ll
	l.mu.Unlock()
	for _, p := range ll.posts {
		p.on.post(p)
	}
	return true, nil
}

// enter begins n operations, or none.
func (l *Listener) enter(n int) error {
	for i := range n {
		if err := l.node.Enter(); err != nil {
			l.leave(i)
			return err
		}
	}
	return nil
}

func (l *Listener) leave(n int) {
	for range n {
		l.node.Leave()
	}
}

// take takes the descriptor off package net, which would be woken with us.
func (ll *loopListener) take(k *kernelListener) error {
	raw, err := k.SyscallConn()
	if err != nil {
		return err
	}
	_, ll.tcp = k.netListener.(*net.TCPListener)
	cerr := raw.Control(func(fd uintptr) { ll.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return k.Close()
}

// accept is not for goroutines any more.
func (ll *loopListener) accept() (transport, error) { return nil, errServed }

// SetDeadline wakes the loops: something has become of the listener.
func (ll *loopListener) SetDeadline(time.Time) error {
	for _, p := range ll.posts {
		p.on.post(p)
	}
	return nil
}

// Close closes our copy. The loops have left.
func (ll *loopListener) Close() error { return unix.Close(ll.fd) }

// ended notes that one post accepts no more.
func (ll *loopListener) ended() {
	if ll.left.Add(-1) == 0 {
		ll.h.AcceptEnded()
	}
}

// visit begins to accept, goes on after a pause, or ends.
func (p *post) visit(l *Loop) {
	switch {
	case p.over:
	case p.ll.of.woken.get() != nil:
		p.end(l)
	case p.ll.of.stop.Load() != nil:
		p.leave(l)
		p.empty(l)
	case !p.watching:
		p.enter(l)
	}
}

// enter registers with the loop.
func (p *post) enter(l *Loop) {
	if p.number == 0 {
		p.number = l.station(p)
	}
	if err := l.poller.addListener(p.ll.fd, p.number); err != nil {
		p.pause(l, err)
		return
	}
	p.watching = true
}

// station gives p a number, that of one that has ended if there is any.
func (l *Loop) station(p *post) int32 {
	i := slices.Index(l.posts, nil)
	if i < 0 {
		i = len(l.posts)
		l.posts = append(l.posts, nil)
	}
	l.posts[i] = p
	return -int32(i + 1)
}

// leave ends the registration, which others of the same socket, in a process
// that it was passed to, must not hold up.
func (p *post) leave(l *Loop) {
	if p.watching {
		l.poller.remove(p.ll.fd)
		p.watching = false
	}
}

func (p *post) end(l *Loop) {
	p.over = true
	p.leave(l)
	if p.number != 0 {
		l.posts[-p.number-1] = nil // no event of it is under way: a loop that dispatches visits nobody
	}
	p.ll.of.node.Leave() // first: who hears of the end may want the address
	p.ll.ended()
}

// acceptBudget is how many connections are accepted before others have their
// turn.
const acceptBudget = 16

// heard accepts what has come.
func (p *post) heard(l *Loop) {
	if p.watching {
		p.take(l, acceptBudget)
	}
}

// empty accepts what the backlog holds, and ends: see [Listener.Stop].
func (p *post) empty(l *Loop) {
	switch o := p.take(l, acceptBudget); {
	case o == wantRead || !time.Now().Before(*p.ll.of.stop.Load()):
		p.end(l)
	case o == moved:
		l.post(p)
	}
	// Where it failed it goes on after the pause.
}

// take accepts up to n connections, and says whether there may be more: moved.
func (p *post) take(l *Loop, n int) outcome {
	ll := p.ll
	for range n {
		fd, from, errno := acceptFrom(ll.fd)
		switch errno {
		case 0:
			in := Incoming{fd: fd, tcp: ll.tcp, loop: p.choose(), from: from}
			in.loop.conns.Add(1)
			if !ll.inherits {
				// The connection may be dead already, which its first
				// read tells better.
				ll.s.apply(fd, ll.tcp)
			}
			ll.h.Accepted(in)
		case syscall.EAGAIN:
			return wantRead
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			p.pause(l, errno)
			return failed
		}
	}
	return moved
}

// choose returns the loop for a connection: this one, unless others have much
// less to do.
func (p *post) choose() *Loop {
	least := p.ll.loops.Least()
	mine, others := p.on.conns.Load(), least.conns.Load()
	if mine > others+others/4+1 {
		return least
	}
	return p.on
}

// pause ends accepting for a while, because it fails.
func (p *post) pause(l *Loop, err error) {
	p.leave(l)
	pause := p.ll.h.AcceptFailed(p.ll.of.error(err))
	time.AfterFunc(pause, p.resume)
}

func (p *post) resume() { p.on.post(p) }
