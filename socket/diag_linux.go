package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A kernelKey names one connection to the kernel for its whole life: by cookie,
// which is never used again, and by where it is hashed. See sock_diag(7).
type kernelKey struct {
	family uint8
	local  unix.RawSockaddrInet6 // Inet4 addresses in the first four bytes of Addr
	remote unix.RawSockaddrInet6
	device uint32
	inode  uint32 // of a unix socket
	cookie uint64
	netns  uint64 // see namespace
}

// namespace returns the cookie of the network namespace of a socket, which is
// never used again either, or 0 where the kernel (before 5.14) does not tell.
func namespace(fd int) uint64 {
	cookie, _ := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return cookie
}

// keyOf takes the key of an open descriptor, or says why it cannot.
func keyOf(fd int) (k kernelKey, why string) {
	var err error
	if k.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
		return k, fmt.Sprintf("SO_COOKIE: %v", err)
	}
	k.netns = namespace(fd)
	local, err := unix.Getsockname(fd)
	if err != nil {
		return k, fmt.Sprintf("getsockname: %v", err)
	}
	if _, ok := local.(*unix.SockaddrUnix); ok {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return k, fmt.Sprintf("fstat: %v", err)
		}
		k.family, k.inode = unix.AF_UNIX, uint32(st.Ino)
		return k, ""
	}
	remote, err := unix.Getpeername(fd)
	if err != nil {
		return k, fmt.Sprintf("getpeername: %v", err) // ENOTCONN: it was reset before
	}
	device, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	if err == nil {
		k.device = uint32(device)
	}
	k.setAddress(&k.local, local)
	k.setAddress(&k.remote, remote)
	return k, ""
}

func (k *kernelKey) setAddress(to *unix.RawSockaddrInet6, a unix.Sockaddr) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		k.family = unix.AF_INET
		copy(to.Addr[:], a.Addr[:])
		to.Port = uint16(a.Port)
	case *unix.SockaddrInet6:
		k.family = unix.AF_INET6
		to.Addr = a.Addr
		to.Port = uint16(a.Port)
		if a.ZoneId != 0 { // link-local: the lookup wants the interface
			k.device = a.ZoneId
		}
	}
}

// lookup reports whether the kernel shows the connection.
func (k *kernelKey) lookup() (found bool, why string) {
	_, err := k.ask()
	switch {
	case err == nil:
		return true, ""
	case errors.Is(err, unix.ENOENT):
		return false, "sock_diag did not show it before"
	}
	return false, err.Error()
}

// The kernel's names for the states that outlive a close; see tcpClose.
const (
	tcpFinWait1 = 4
	tcpFinWait2 = 5
	tcpTimeWait = 6
	tcpLastAck  = 9
	tcpClosing  = 11
)

// state returns what the kernel says of the connection now.
func (k *kernelKey) state() (KernelState, string) {
	state, err := k.ask()
	switch {
	case errors.Is(err, unix.ENOENT):
		return Gone, ""
	case err != nil:
		return Unverified, err.Error()
	}
	if k.family != unix.AF_UNIX {
		switch state {
		case tcpTimeWait:
			return TimeWait, ""
		case tcpFinWait2:
			return FinWait2, ""
		case tcpFinWait1, tcpLastAck, tcpClosing:
			return Orphan, ""
		}
	}
	return Shared, ""
}

// Messages of sock_diag(7): struct inet_diag_req_v2 and struct unix_diag_req,
// behind a struct nlmsghdr.
const (
	headerSize    = 16
	inetDiagSize  = 56
	unixDiagSize  = 24
	inetStateByte = 1 // of the answer: struct inet_diag_msg, idiag_state
	unixStateByte = 2 // struct unix_diag_msg, udiag_state
)

// request returns the question for exactly this connection.
func (k *kernelKey) request() []byte {
	host, network := binary.NativeEndian, binary.BigEndian
	body := make([]byte, inetDiagSize)
	if k.family == unix.AF_UNIX {
		body = body[:unixDiagSize]
		body[0] = unix.AF_UNIX
		host.PutUint32(body[4:], ^uint32(0)) // any state
		host.PutUint32(body[8:], k.inode)
		host.PutUint64(body[16:], 0)
		host.PutUint32(body[16:], uint32(k.cookie))
		host.PutUint32(body[20:], uint32(k.cookie>>32))
	} else {
		body[0], body[1] = k.family, unix.IPPROTO_TCP
		host.PutUint32(body[4:], ^uint32(0))
		network.PutUint16(body[8:], k.local.Port)
		network.PutUint16(body[10:], k.remote.Port)
		copy(body[12:28], k.local.Addr[:])
		copy(body[28:44], k.remote.Addr[:])
		host.PutUint32(body[44:], k.device)
		host.PutUint32(body[48:], uint32(k.cookie))
		host.PutUint32(body[52:], uint32(k.cookie>>32))
	}
	message := make([]byte, headerSize, headerSize+len(body))
	host.PutUint32(message[0:], uint32(headerSize+len(body)))
	host.PutUint16(message[4:], unix.SOCK_DIAG_BY_FAMILY)
	host.PutUint16(message[6:], unix.NLM_F_REQUEST)
	return append(message, body...)
}

// errOtherNamespace is a connection that was made in another network namespace
// than ours, by whoever has passed us its descriptor. Ours does not show it.
var errOtherNamespace = errors.New("the connection is in another network namespace")

// ask returns the connection's state, or ENOENT if the kernel has none.
func (k *kernelKey) ask() (state uint8, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, os.NewSyscallError("netlink", err)
	}
	defer unix.Close(fd)
	if here := namespace(fd); here != k.netns && here != 0 && k.netns != 0 {
		return 0, errOtherNamespace
	}
	// The kernel answers within sendto(2): there is nothing to wait for.
	if err := unix.Sendto(fd, k.request(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("netlink sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, os.NewSyscallError("netlink recv", err)
	}
	return k.parse(answer[:n])
}

var errShortAnswer = errors.New("sock_diag: answer too short")

func (k *kernelKey) parse(answer []byte) (uint8, error) {
	if len(answer) < headerSize+4 {
		return 0, errShortAnswer
	}
	host := binary.NativeEndian
	body := answer[headerSize:]
	if host.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(host.Uint32(body)))
		return 0, os.NewSyscallError("sock_diag", errno)
	}
	if k.family == unix.AF_UNIX {
		return body[unixStateByte], nil
	}
	return body[inetStateByte], nil
}
