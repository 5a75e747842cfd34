package pcapng

import (
	"encoding/binary"
	"math/bits"
)

// A header is the IP and TCP header of a packet: RFC 791, 8200 and 9293.
type header struct {
	from, to address
	seq, ack uint32
	flags    uint8
	scale    bool // with the option that scales the window
}

// TCP's flags.
const (
	flagFIN uint8 = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

const (
	ipv4Size, ipv6Size, tcpSize = 20, 40, 20

	protocolTCP = 6
	hopLimit    = 64
	window      = 65535

	// windowShift makes the window 4 MiB.
	windowShift = 6
)

// scaleOption is a no-op, and the window's scale: kind 3, length 3.
const scaleOption = 1<<24 | 3<<16 | 3<<8 | windowShift

func (h *header) tcpSize() int {
	if h.scale {
		return tcpSize + 4
	}
	return tcpSize
}

// size is the length of both headers.
func (h *header) size() int {
	if h.from.Addr().Is4() {
		return ipv4Size + h.tcpSize()
	}
	return ipv6Size + h.tcpSize()
}

// append appends the packet.
func (h *header) append(b, data []byte) []byte {
	n := h.tcpSize() + len(data)
	var sum uint64
	if h.from.Addr().Is4() {
		b, sum = h.appendIPv4(b, n)
	} else {
		b, sum = h.appendIPv6(b, n)
	}
	return h.appendTCP(b, data, sum+protocolTCP+uint64(n))
}

// appendIPv4 appends the header of a packet with n bytes after it, and returns
// the addresses' part of the checksum of TCP.
func (h *header) appendIPv4(b []byte, n int) ([]byte, uint64) {
	start := len(b)
	from, to := h.from.Addr().As4(), h.to.Addr().As4()
	b = append(b, 4<<4|ipv4Size/4, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Size+n))
	b = append(b, 0, 0, 0x40, 0) // never a fragment
	b = append(b, hopLimit, protocolTCP, 0, 0)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	binary.BigEndian.PutUint16(b[start+10:], checksum(b[start:], 0))
	return b, sum(b[start+12:], 0)
}

func (h *header) appendIPv6(b []byte, n int) ([]byte, uint64) {
	start := len(b)
	from, to := h.from.Addr().As16(), h.to.Addr().As16()
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, protocolTCP, hopLimit)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	return b, sum(b[start+8:], 0)
}

// appendTCP appends the header and the data. pseudo is the part of the checksum
// that comes from the IP header.
func (h *header) appendTCP(b, data []byte, pseudo uint64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, h.from.Port())
	b = binary.BigEndian.AppendUint16(b, h.to.Port())
	b = binary.BigEndian.AppendUint32(b, h.seq)
	b = binary.BigEndian.AppendUint32(b, h.ack)
	b = append(b, byte(h.tcpSize()/4<<4), h.flags)
	b = binary.BigEndian.AppendUint16(b, window)
	b = append(b, 0, 0, 0, 0)
	if h.scale {
		b = binary.BigEndian.AppendUint32(b, scaleOption)
	}
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[start+16:], checksum(b[start:], pseudo))
	return b
}

// checksum is the internet's (RFC 1071) of b and of what was summed up before.
func checksum(b []byte, before uint64) uint16 {
	s := sum(b, before)
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// sum adds b up as words of 16 bits, in a wider word: only the carry at the top
// has to come back in at the bottom.
func sum(b []byte, s uint64) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		var carry uint64
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s += carry
	}
	var last [8]byte
	copy(last[:], b)
	s, carry := bits.Add64(s, binary.BigEndian.Uint64(last[:]), 0)
	return s + carry
}
