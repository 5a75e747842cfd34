//go:build !linux

package chaos

import "net"

// disappear resets: only Linux has a way to go without a word.
func disappear(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
