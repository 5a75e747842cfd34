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

// begin makes a socket and begins to connect it, from the next source that has
// a port left. It returns the socket with nil or EINPROGRESS only.
func (d *Dialer) begin() (fd int, err error) {
	if d.from == nil {
		return d.beginFrom(nil)
	}
	for source := range d.from.each {
		if fd, err = d.beginFrom(&d.from.bind[source]); !IsNoPorts(err) {
			break
		}
	}
	return fd, err
}

func (d *Dialer) beginFrom(source *sockaddr) (int, error) {
	fd, err := d.socket()
	if err != nil {
		return -1, err
	}
	if source != nil {
		if errno := bindTo(fd, source); errno != 0 {
			unix.Close(fd)
			return -1, errno
		}
	}
	switch errno := connectTo(fd, &d.to); errno {
	case 0:
		return fd, nil
	case syscall.EINPROGRESS:
		return fd, errno
	default:
		unix.Close(fd)
		return -1, errno
	}
}

// bindTo binds a socket to a local address.
func bindTo(fd int, to *sockaddr) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.size))
	return errno
}

// socket returns a new socket with the options that cannot wait.
func (d *Dialer) socket() (int, error) {
	fd, err := unix.Socket(d.to.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	tcp := d.to.family != unix.AF_UNIX
	err = d.s.set(fd, d.early)
	if err == nil && tcp {
		err = d.s.prepare(fd, "tcp", dialling)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setSecond and setLate set the others. The connection may be dead already.

func (d *Dialer) setSecond(fd int) {
	if o := d.s.second(); o.value != 0 { // it is 0 as it is
		unix.SetsockoptInt(fd, o.level, o.opt, o.value)
	}
}

func (d *Dialer) setLate(fd int) { d.s.set(fd, d.late) }

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

// acceptFrom accepts a connection, if there is one. unix.Accept4 would ask for
// the protocol as well, each time.
func acceptFrom(fd int) (accepted int, from string, errno syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	r, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, "", errno
	}
	return int(r), sockaddrText(&sa), 0
}

// sockaddrText writes the address of a peer. That of a Unix socket is nothing
// that would tell one from the other.
func sockaddrText(sa *unix.RawSockaddrAny) string {
	network := binary.BigEndian
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		port := network.Uint16((*[2]byte)(unsafe.Pointer(&in.Port))[:])
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port).String()
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		port := network.Uint16((*[2]byte)(unsafe.Pointer(&in.Port))[:])
		return addrPort6(&unix.SockaddrInet6{Port: int(port), ZoneId: in.Scope_id, Addr: in.Addr}).String()
	}
	return "@"
}
