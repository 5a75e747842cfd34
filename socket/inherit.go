package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// inheritance guards the descriptors that the process was started with: each is
// taken once. Its number is free afterwards, and may be somebody else's.
var inheritance sync.Mutex

// Why a descriptor is not taken.
var (
	errNotOpen      = errors.New("is not open: pass it to the process, and use it once")
	errNotInherited = errors.New("is the process's own: only one that was passed to it, without close-on-exec, is taken")
	errNotSocket    = errors.New("is not a socket")
	errNotStream    = errors.New("is not a stream socket of TCP or Unix")
	errNotConnected = errors.New("neither listens nor is connected")
	errListens      = errors.New("listens, and cannot be dialled")
)

// A descriptor is an inherited socket that was taken: a listener or a
// connection, under a number of its own, with close-on-exec, not blocking.
type descriptor struct {
	ln net.Listener
	c  net.Conn
}

// takeFD takes the descriptor n and makes something of it. passed says that
// somebody vouches for it, and that close-on-exec does not mean that it is the
// process's own. A descriptor that does not fit, also for use, is left as it is:
// somebody may take it with other options.
func takeFD(n int, passed, dial bool, use func(descriptor) error) error {
	inheritance.Lock()
	defer inheritance.Unlock()
	d, err := copyFD(n, passed, dial)
	if err != nil {
		return fmt.Errorf("descriptor %d %w", n, err)
	}
	if err := use(d); err != nil {
		return err
	}
	unix.Close(n)
	return nil
}

// copyFD returns a descriptor for the socket of n.
func copyFD(n int, passed, dial bool) (d descriptor, err error) {
	listens, err := inspectFD(n, passed)
	switch {
	case err != nil:
		return d, err
	case listens && dial:
		return d, errListens
	}
	// Package net works on a copy. Until here nothing was changed.
	dup, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return d, err
	}
	f := os.NewFile(uintptr(dup), "")
	defer f.Close()
	if listens {
		d.ln, err = net.FileListener(f)
	} else {
		d.c, err = net.FileConn(f)
	}
	if err != nil {
		return descriptor{}, reason(err)
	}
	return d, nil
}

// inspectFD reports whether a descriptor listens; the other kind is connected.
func inspectFD(n int, passed bool) (listens bool, err error) {
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	switch {
	case err != nil:
		return false, errNotOpen
	case flags&unix.FD_CLOEXEC != 0 && !passed:
		return false, errNotInherited
	}
	kind, err := unix.GetsockoptInt(n, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return false, errNotSocket
	}
	local, err := unix.Getsockname(n)
	if err != nil || kind != unix.SOCK_STREAM {
		return false, errNotStream
	}
	switch local.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6, *unix.SockaddrUnix:
	default:
		return false, errNotStream
	}
	if v, err := unix.GetsockoptInt(n, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && v != 0 {
		return true, nil
	}
	if _, err := unix.Getpeername(n); err != nil {
		return false, errNotConnected
	}
	return false, nil
}

// dialFD makes a transport of an inherited connection.
func dialFD(n int, s *settings) (t *kernelTransport, err error) {
	err = takeFD(n, false, true, func(d descriptor) (err error) {
		t, err = d.transport(s)
		return err
	})
	return t, err
}

// transport makes one of the connection, with its options.
func (d descriptor) transport(s *settings) (*kernelTransport, error) {
	t, err := newKernelTransport(d.c)
	if err == nil {
		if err = t.again(s.apply); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, err
}

// listenFD opens a listener on an inherited descriptor. The socket file of a
// Unix listener stays: it belongs to whoever passed the descriptor.
func (l *Listener) listenFD(n int, passed bool, s *settings) error {
	return takeFD(n, passed, false, func(d descriptor) error { return l.listenOn(d, s) })
}

// listenOn opens a listener on what was taken.
func (l *Listener) listenOn(d descriptor, s *settings) error {
	if d.c != nil {
		t, err := d.transport(s)
		if err != nil {
			return err
		}
		l.ln = newOnce(t)
		return nil
	}
	if u, ok := d.ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	k, err := newKernelListener(d.ln, s, false)
	if err != nil {
		return err
	}
	k.inherits = false // package net sets a keepalive of its own at each accept
	l.ln = k
	return nil
}
