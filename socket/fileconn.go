package socket

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// A fileConn makes of a socket in an os.File what package net would make of
// it, without the copy of the descriptor that package net works on.
type fileConn struct{ *os.File }

func (c fileConn) CloseRead() error  { return c.shut(unix.SHUT_RD) }
func (c fileConn) CloseWrite() error { return c.shut(unix.SHUT_WR) }

func (c fileConn) shut(how int) error {
	var err error
	if cerr := c.control(func(fd int) { err = unix.Shutdown(fd, how) }); cerr != nil {
		return cerr
	}
	return err
}

func (c fileConn) control(f func(fd int)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

func (c fileConn) LocalAddr() net.Addr  { return c.address(unix.Getsockname) }
func (c fileConn) RemoteAddr() net.Addr { return c.address(unix.Getpeername) }

func (c fileConn) address(get func(fd int) (unix.Sockaddr, error)) net.Addr {
	var sa unix.Sockaddr
	c.control(func(fd int) { sa, _ = get(fd) })
	return netAddr(sa)
}

// netAddr returns an address of the kernel's as package net has it; "" if there
// is none.
func netAddr(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(addrPort6(sa))
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return kindAddr{}
}

// addrPort6 is written with a zone where there is one, and as IPv4 where that
// is what it stands for.
func addrPort6(sa *unix.SockaddrInet6) netip.AddrPort {
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.ZoneId != 0 {
		if ifi, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
			a = a.WithZone(ifi.Name)
		}
	}
	return netip.AddrPortFrom(a, uint16(sa.Port))
}
