package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// TCPInfo returns the kernel's view of a TCP connection. It reports false for
// other kinds, on other systems, and after the release.
func (s *Socket) TCPInfo() (info TCPInfo, ok bool) {
	t := kernelOf(s.t)
	if t == nil || !t.tcp {
		return info, false
	}
	t.control(func(fd int) {
		k, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if ok = err == nil; ok {
			info = TCPInfo{
				State:       tcpStates[k.State%uint8(len(tcpStates))],
				RTT:         time.Duration(k.Rtt) * time.Microsecond,
				RTTVar:      time.Duration(k.Rttvar) * time.Microsecond,
				Retransmits: k.Total_retrans,
				Unacked:     k.Unacked,
				Lost:        k.Lost,
				MSS:         k.Snd_mss,
				Sent:        k.Bytes_acked,
				Received:    k.Bytes_received,
			}
		}
	})
	return info, ok
}

// tcpStates are the names of the kernel's include/net/tcp_states.h, as ss(8)
// spells them.
var tcpStates = [...]string{
	"UNKNOWN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSE",
	"CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "NEW-SYN-RECV",
}
