package socket

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// A ping is a visitor that says that it was visited.
type ping struct{ done chan struct{} }

func (p *ping) visit(*Loop) { close(p.done) }

// Ping waits until each loop has come round to it: they all turn. When ctx ends
// first, the error says how many have not. It costs each loop a visit.
func (ls *Loops) Ping(ctx context.Context) error {
	pings := make([]*ping, len(ls.list))
	for i, l := range ls.list {
		pings[i] = &ping{make(chan struct{})}
		l.post(pings[i])
	}
	for i, p := range pings {
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d event loops stand still: %w", standing(pings[i:]), len(pings), context.Cause(ctx))
		}
	}
	return nil
}

// standing returns how many pings were not visited.
func standing(pings []*ping) (n int) {
	for _, p := range pings {
		select {
		case <-p.done:
		default:
			n++
		}
	}
	return n
}

// Waits reports whether a connection waits to be accepted. It is false for a
// listener of one connection, and after the close.
func (l *Listener) Waits() (waits bool) {
	if err := l.node.Enter(); err != nil {
		return false
	}
	defer l.node.Leave()
	switch ln := l.source().(type) {
	case *loopListener:
		waits = canAccept(ln.fd)
	case *kernelListener:
		if raw, err := ln.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { waits = canAccept(int(fd)) })
		}
	}
	return waits
}

// canAccept asks the kernel: see poll(2).
func canAccept(fd int) bool {
	fds := [...]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}
