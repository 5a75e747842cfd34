package socket

import (
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A netListener is what *net.TCPListener and *net.UnixListener have in common.
type netListener interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// A kernelListener is a listener of the system's.
type kernelListener struct {
	netListener
	s *settings
	// inherits: accepted sockets have all options from the listener, but for
	// the NODELAY that package net turns on. So an accept costs no calls of
	// ours.
	inherits bool
}

// newKernelListener takes ln, also when it fails, and sets its options, unless
// they were set before it was bound.
func newKernelListener(ln net.Listener, s *settings, set bool) (*kernelListener, error) {
	nl, ok := ln.(netListener)
	if !ok {
		ln.Close()
		return nil, syscall.ESOCKTNOSUPPORT
	}
	_, tcp := ln.(*net.TCPListener)
	// A Unix socket has its buffers from nobody.
	k := &kernelListener{netListener: nl, s: s, inherits: isLinux && (tcp || s.sndBuf == 0)}
	raw, err := nl.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) {
			if !set {
				err = s.apply(int(fd), tcp)
			}
			if err == nil && s.backlog > 0 {
				err = unix.Listen(int(fd), s.backlog) // a second one changes the length
			}
		})
		if err == nil {
			err = cerr
		}
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return k, nil
}

func (k *kernelListener) accept() (transport, error) {
	c, err := k.Accept()
	if err != nil {
		return nil, err
	}
	t, err := newKernelTransport(c)
	if err != nil {
		return nil, err
	}
	k.accepted(t)
	return t, nil
}

// acceptNow returns a connection that has come, and from where, or [net.ErrClosed]
// if there is none: nobody waits any more. If the peer has reset it by now, the
// system does not tell again where it was from. ENOSYS says that it cannot be known
// here.
func (k *kernelListener) acceptNow() (t transport, from string, err error) {
	raw, err := k.SyscallConn()
	if err != nil {
		return nil, "", err
	}
	fd, errno := -1, syscall.Errno(0)
	_, tcp := k.netListener.(*net.TCPListener)
	err = raw.Control(func(ln uintptr) { fd, from, errno = acceptFrom(int(ln)) })
	switch {
	case err != nil:
		return nil, "", err
	case errno == syscall.EAGAIN:
		return nil, "", net.ErrClosed
	case errno != 0:
		return nil, "", errno
	}
	accepted := &kernelTransport{}
	accepted.loosen(fd, tcp)
	k.accepted(accepted)
	return accepted, from, nil
}

// accepted sets what a connection has not inherited.
func (k *kernelListener) accepted(t *kernelTransport) {
	switch {
	case !k.inherits:
		// The connection may be dead already, which its first read tells
		// better.
		t.again(k.s.apply)
	case !k.s.noDelay:
		t.again(k.s.applyNoDelay)
	}
}

// A once is a source of one connection.
type once struct {
	mu    sync.Mutex
	t     transport // nil: of a program that is not started yet
	spent bool
}

func newOnce(t transport) *once { return &once{t: t} }

func (o *once) accept() (transport, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spent {
		return nil, net.ErrClosed
	}
	o.spent = true
	return o.t, nil
}

// SetDeadline has nobody to wake.
func (o *once) SetDeadline(time.Time) error { return nil }

// Close closes a connection that nobody has accepted.
func (o *once) Close() error {
	if t, err := o.accept(); err == nil && t != nil {
		return t.Close()
	}
	return nil
}
