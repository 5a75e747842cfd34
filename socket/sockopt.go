package socket

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// A sockopt is a setsockopt(2) that an option, or a default, calls for.
type sockopt struct {
	option     string // its name in the table, or ""
	level, opt int
	value      int
}

// early are the options that matter from the first byte on.
func (s *settings) early(tcp bool) (list []sockopt) {
	if tcp {
		list = append(list,
			// Urgent bytes stay in the stream, in order: a relay has no
			// other place for them.
			sockopt{"", unix.SOL_SOCKET, unix.SO_OOBINLINE, 1})
	}
	if s.rcvBuf > 0 {
		list = append(list, sockopt{"rcvbuf", unix.SOL_SOCKET, unix.SO_RCVBUF, s.rcvBuf})
	}
	if s.sndBuf > 0 {
		list = append(list, sockopt{"sndbuf", unix.SOL_SOCKET, unix.SO_SNDBUF, s.sndBuf})
	}
	return list
}

// second is the option that matters from the second write on: with nothing under
// way, the first is not delayed in any case (RFC 896).
func (s *settings) second() sockopt {
	return sockopt{"nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, number(s.noDelay)}
}

// late are those of a TCP connection that matter when it has stood still, or
// has much to send.
func (s *settings) late() []sockopt {
	keepAlive := sockopt{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, number(s.keepAlive.count > 0)}
	return append([]sockopt{keepAlive}, s.tcp()...)
}

func number(on bool) int {
	if on {
		return 1
	}
	return 0
}

// apply sets what every connection has. On Linux accepted sockets inherit it
// all from their listener.
func (s *settings) apply(fd int, tcp bool) error {
	if !tcp {
		for i, o := range options {
			if s.given&(1<<i) != 0 && o.fits(Address{Kind: TCP}) && !o.fits(Address{Kind: Unix}) {
				return fmt.Errorf("option %q does not fit: the socket is not TCP", o.name)
			}
		}
	}
	list := s.early(tcp)
	if tcp {
		list = append(list, s.second())
		list = append(list, s.late()...)
	}
	return s.set(fd, list)
}

// set makes the calls. A default that a protocol does not have, such as one of
// Multipath TCP, is left.
func (s *settings) set(fd int, list []sockopt) error {
	for _, o := range list {
		err := unix.SetsockoptInt(fd, o.level, o.opt, o.value)
		if err == nil || o.option == "" || !s.has(o.option) && (err == unix.ENOPROTOOPT || err == unix.EOPNOTSUPP) {
			continue
		}
		return fmt.Errorf("option %q: %w", o.option, err)
	}
	return nil
}

// control returns what package net calls with each new socket, before it binds
// or connects it.
func (s *settings) control(u use) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			if err = s.apply(int(fd), network != "unix"); err == nil {
				err = s.prepare(int(fd), network, u)
			}
		})
		if err == nil {
			err = cerr
		}
		return err
	}
}

// source returns the address to dial from, or nil.
func (s *settings) source(ctx context.Context) (net.Addr, error) {
	if s.bindHost == "" {
		return nil, nil
	}
	ip, err := netip.ParseAddr(s.bindHost)
	if err != nil {
		list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.bindHost)
		if err != nil {
			return nil, fmt.Errorf("option \"bind\": %w", err)
		}
		ip = list[0].Unmap()
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, s.bindPort)), nil
}

// dialKernel connects a socket of the system's.
func dialKernel(ctx context.Context, a Address, s *settings, u *underway) (*kernelTransport, error) {
	// Package net turns NODELAY on for whatever it connects or accepts. It
	// leaves keepalive alone if told so by -1.
	d := net.Dialer{KeepAlive: -1, Control: u.noting(s.control(dialling))}
	d.SetMultipathTCP(s.mptcp)
	from, err := s.source(ctx)
	if err != nil {
		return nil, err
	}
	d.LocalAddr = from
	c, err := d.DialContext(ctx, a.network(), a.address())
	if err != nil {
		return nil, err
	}
	t, err := newKernelTransport(c)
	if err == nil && !s.noDelay {
		t.again(s.applyNoDelay)
	}
	return t, err
}

// applyNoDelay takes back what package net has set.
func (s *settings) applyNoDelay(fd int, tcp bool) error {
	if !tcp {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, number(s.noDelay))
}

// again calls set with the descriptor.
func (t *kernelTransport) again(set func(fd int, tcp bool) error) error {
	err := net.ErrClosed
	t.control(func(fd int) { err = set(fd, t.tcp) })
	return err
}
