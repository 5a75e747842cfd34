package socket

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// isLinux tells the options that only Linux has; there accepted sockets inherit
// the options of their listener.
const isLinux = true

// fastOpenQueue is how many connections may wait that have sent data and are
// not proven yet.
const fastOpenQueue = 256

// tcp are the options of a TCP connection that this system has.
func (s *settings) tcp() (list []sockopt) {
	if k := s.keepAlive; k.count > 0 {
		list = append(list,
			sockopt{"keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.idle / time.Second)},
			sockopt{"keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.interval / time.Second)},
			sockopt{"keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.count})
	}
	list = append(list, sockopt{"user_timeout", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(s.userTimeout / time.Millisecond)})
	if s.notSent > 0 {
		list = append(list, sockopt{"notsent_lowat", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, s.notSent})
	}
	return list
}

// prepare sets what a socket needs before it is bound.
func (s *settings) prepare(fd int, network string, u use) error {
	if network == "unix" {
		if u == listening && (s.mode != 0 || s.user+s.group != "") {
			// The file is made with this mode: nobody gets in before
			// its owner and mode are what they should be.
			return unix.Fchmod(fd, uint32(s.mode&0o600))
		}
		return nil
	}
	var list []sockopt
	if s.reusePort {
		list = append(list, sockopt{"reuseport", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if s.mark != 0 {
		list = append(list, sockopt{"mark", unix.SOL_SOCKET, unix.SO_MARK, int(s.mark)})
	}
	if s.transparent {
		if network == "tcp6" {
			list = append(list, sockopt{"transparent", unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1})
		}
		list = append(list, sockopt{"transparent", unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1})
	}
	switch {
	case s.fastOpen && u == listening:
		list = append(list, sockopt{"fastopen", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, fastOpenQueue})
	case s.fastOpen:
		list = append(list, sockopt{"fastopen", unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1})
	}
	if s.bindHost != "" && s.bindPort == 0 {
		// The port is then chosen for the pair of addresses: as many
		// connections as there are ports to each destination.
		list = append(list, sockopt{"", unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1})
	}
	if err := s.set(fd, list); err != nil {
		return err
	}
	if s.device != "" {
		if err := unix.BindToDevice(fd, s.device); err != nil {
			return fmt.Errorf("option %q: %w", "interface", err)
		}
	}
	return nil
}
