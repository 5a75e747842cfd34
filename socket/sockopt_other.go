//go:build !linux

package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// isLinux tells the options that only Linux has; there accepted sockets inherit
// the options of their listener.
const isLinux = false

// tcp are the options of a TCP connection that this system has.
func (s *settings) tcp() []sockopt {
	if k := s.keepAlive; k.count > 0 {
		return []sockopt{
			{"keepalive", unix.IPPROTO_TCP, tcpKeepIdle, int(k.idle / time.Second)},
			{"keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.interval / time.Second)},
			{"keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.count},
		}
	}
	return nil
}

// prepare has nothing to set here.
func (s *settings) prepare(int, string, use) error { return nil }
