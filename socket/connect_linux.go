package socket

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sockaddr is an address as connect(2) takes it.
type sockaddr struct {
	raw    unix.RawSockaddrAny
	size   uint32 // 0: none
	family int
}

func inetSockaddr(ip netip.Addr, port uint16) (to sockaddr) {
	network := binary.BigEndian
	if ip = ip.Unmap(); ip.Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&to.raw))
		sa.Family = unix.AF_INET
		network.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], port)
		sa.Addr = ip.As4()
		to.size, to.family = unix.SizeofSockaddrInet4, unix.AF_INET
		return to
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&to.raw))
	sa.Family = unix.AF_INET6
	network.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], port)
	sa.Addr = ip.As16()
	to.size, to.family = unix.SizeofSockaddrInet6, unix.AF_INET6
	return to
}

// unixSockaddr makes one of a path, or of an abstract name after an @.
func unixSockaddr(name string) (to sockaddr) {
	sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(&to.raw))
	if len(name) > maxUnixPath {
		return to
	}
	sa.Family = unix.AF_UNIX
	path := (*[len(sa.Path)]byte)(unsafe.Pointer(&sa.Path))
	copy(path[:], name)
	to.size, to.family = uint32(2+len(name)), unix.AF_UNIX
	if name[0] == '@' {
		path[0] = 0
	} else {
		to.size++ // the zero byte
	}
	return to
}

// connectTo begins to connect.
func connectTo(fd int, to *sockaddr) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.size))
	return errno
}

// socket returns a new socket with its options.
func (d *Dialer) socket() (int, error) {
	fd, err := unix.Socket(d.to.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	network := "tcp"
	if d.to.family == unix.AF_UNIX {
		network = "unix"
	}
	err = d.s.apply(fd, d.to.family != unix.AF_UNIX)
	if err == nil {
		err = d.s.prepare(fd, network, dialling)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// socketError returns why a connect failed.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return err
	case errno == 0:
		return syscall.ECONNRESET // connected, and reset since
	}
	return syscall.Errno(errno)
}

// acceptFrom accepts a connection, if there is one.
func acceptFrom(fd int) (int, unix.Sockaddr, error) {
	return unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}
