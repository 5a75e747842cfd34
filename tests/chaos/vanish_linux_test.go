package chaos

import (
	"net"
	"syscall"
)

// tcpRepair is TCP_REPAIR of linux/tcp.h: a socket that is in repair is closed
// without a word to its peer. It needs CAP_NET_ADMIN.
const tcpRepair = 19

// disappear closes c as a machine does that loses its power. Without the right to
// do so it resets.
func disappear(c *net.TCPConn) {
	c.SetLinger(0)
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpRepair, 1) })
	}
	c.Close()
}
