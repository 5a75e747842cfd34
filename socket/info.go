package socket

import "time"

// A TCPInfo is what the kernel knows of a TCP connection at one moment: see
// tcp(7), TCP_INFO.
type TCPInfo struct {
	State       string        // as ss(8) spells it: "ESTAB", "CLOSE-WAIT"
	RTT         time.Duration // smoothed round trip
	RTTVar      time.Duration // its variation
	Retransmits uint32        // segments sent again, in all
	Unacked     uint32        // segments sent and not acknowledged
	Lost        uint32        // segments thought lost
	MSS         uint32        // bytes in a segment that we send
	Sent        uint64        // bytes that were acknowledged
	Received    uint64        // bytes that arrived
}
