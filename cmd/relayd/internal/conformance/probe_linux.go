package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// A probe asks the kernel for a TCP connection by its two addresses, without the
// code that it is there to check: see sock_diag(7).
type probe struct{ local, remote netip.AddrPort }

// probeOf returns the probe of a connection; of others than TCP, one that sees
// nothing.
func probeOf(conn net.Conn) probe {
	if conn == nil {
		return probe{}
	}
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return probe{}
	}
	remote := conn.RemoteAddr().(*net.TCPAddr)
	return probe{local.AddrPort(), remote.AddrPort()}
}

// The message: struct nlmsghdr, struct inet_diag_req_v2.
const (
	sockDiagByFamily = 20
	headerSize       = 16
	requestSize      = 56
	answerState      = headerSize + 1
	tcpListen        = 10
)

// state returns what the kernel says of the connection, or "" if it has none.
func (p probe) state() string {
	if !p.local.IsValid() {
		return ""
	}
	answer, err := p.ask()
	switch {
	case errors.Is(err, syscall.ENOENT):
		return ""
	case err != nil:
		return err.Error()
	case answer == tcpListen:
		return "" // the lookup falls back to the listener when there is no connection
	}
	return fmt.Sprintf("state %d", answer) // see tcp_states.h
}

func (p probe) request() []byte {
	host, network := binary.NativeEndian, binary.BigEndian
	b := make([]byte, headerSize+requestSize)
	host.PutUint32(b, uint32(len(b)))
	host.PutUint16(b[4:], sockDiagByFamily)
	host.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	body := b[headerSize:]
	body[0], body[1] = syscall.AF_INET, syscall.IPPROTO_TCP
	if p.local.Addr().Unmap().Is6() {
		body[0] = syscall.AF_INET6
	}
	host.PutUint32(body[4:], ^uint32(0)) // any state
	network.PutUint16(body[8:], p.local.Port())
	network.PutUint16(body[10:], p.remote.Port())
	copy(body[12:], p.local.Addr().Unmap().AsSlice())
	copy(body[28:], p.remote.Addr().Unmap().AsSlice())
	host.PutUint64(body[48:], ^uint64(0)) // any cookie
	return b
}

// ask returns the connection's state, or ENOENT.
func (p probe) ask() (state byte, err error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 4) // NETLINK_SOCK_DIAG
	if err != nil {
		return 0, os.NewSyscallError("netlink", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, p.request(), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("netlink sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, syscall.MSG_DONTWAIT)
	if err != nil || n < headerSize+4 {
		return 0, fmt.Errorf("netlink recv: %d bytes, %v", n, err)
	}
	if binary.NativeEndian.Uint16(answer[4:]) == syscall.NLMSG_ERROR {
		return 0, syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[headerSize:])))
	}
	return answer[answerState], nil
}
