package pcapngtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Stream is one TCP stream of a capture.
type Stream struct {
	Comment string
	Began   time.Time
	// Client sent Up, and Upstream sent Down.
	Client, Upstream Half
	Reset            bool // the last packet was a RST

	synced int // packets of the handshake
}

// A Half is one direction of a stream.
type Half struct {
	Addr     netip.AddrPort
	Bytes    []byte
	Segments int  // with bytes
	Finished bool // with FIN
	Acked    bool // all of it, FIN included

	next uint32
}

// A segment is a packet's contents.
type segment struct {
	from, to netip.AddrPort
	seq, ack uint32
	flags    byte
	data     []byte
}

// TCP's flags.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
)

// streams puts the packets together. Packets between the same two addresses
// belong to the stream that began last.
func streams(packets []packet) (list []*Stream, err error) {
	live := make(map[[2]netip.AddrPort]*Stream)
	for i, p := range packets {
		g, err := parse(p.data)
		if err != nil {
			return list, fmt.Errorf("packet %d: %w", i+1, err)
		}
		up := [2]netip.AddrPort{g.from, g.to}
		if g.flags == syn {
			s := &Stream{Comment: p.comment, Began: p.at}
			s.Client.Addr, s.Upstream.Addr = g.from, g.to
			live[up] = s
			list = append(list, s)
		}
		s, isUp := live[up]
		if !isUp {
			s = live[[2]netip.AddrPort{g.to, g.from}]
		}
		if s == nil {
			return list, fmt.Errorf("packet %d: %v to %v has no handshake", i+1, g.from, g.to)
		}
		if err := s.add(g, isUp); err != nil {
			return list, fmt.Errorf("packet %d, %v to %v: %w", i+1, g.from, g.to, err)
		}
	}
	return list, nil
}

// handshake is what a stream begins with.
var handshake = []byte{syn, syn | ack, ack}

func (s *Stream) add(g segment, up bool) error {
	from, to := &s.Client, &s.Upstream
	if !up {
		from, to = to, from
	}
	if s.Reset {
		return errors.New("a packet after the reset")
	}
	if s.synced < len(handshake) {
		if g.flags != handshake[s.synced] || up != (s.synced != 1) || len(g.data) > 0 {
			return fmt.Errorf("packet %d of the handshake is wrong", s.synced+1)
		}
		if s.synced++; g.flags&syn != 0 {
			from.next = g.seq
		}
	}
	if g.seq != from.next {
		return fmt.Errorf("sequence number %d, want %d", g.seq, from.next)
	}
	if g.flags&ack != 0 {
		if g.ack != to.next {
			return fmt.Errorf("%d is acknowledged, and %d was sent", g.ack, to.next)
		}
		to.Acked = true
	}
	return s.take(from, g)
}

// take takes what a segment carries.
func (s *Stream) take(from *Half, g segment) error {
	n := uint32(len(g.data))
	if g.flags&(syn|fin) != 0 {
		n++
	}
	if n > 0 {
		from.Acked = false
	}
	if n > 0 && from.Finished {
		return errors.New("something is sent after FIN")
	}
	from.next += n
	if len(g.data) > 0 {
		from.Segments++
		from.Bytes = append(from.Bytes, g.data...)
	}
	from.Finished = from.Finished || g.flags&fin != 0
	s.Reset = g.flags&rst != 0
	return nil
}

var errHeader = errors.New("bad IP header")

// parse takes a packet apart, and checks its checksums.
func parse(b []byte) (g segment, err error) {
	var from, to netip.Addr
	var tcp []byte
	switch {
	case len(b) >= 40 && b[0] == 0x45:
		if int(binary.BigEndian.Uint16(b[2:])) != len(b) || b[9] != 6 || sum(b[:20]) != 0xffff {
			return g, errHeader
		}
		from, to, tcp = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[20:]
	case len(b) >= 60 && b[0]>>4 == 6:
		if int(binary.BigEndian.Uint16(b[4:])) != len(b)-40 || b[6] != 6 {
			return g, errHeader
		}
		from, to, tcp = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[40:]
	default:
		return g, errHeader
	}
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(tcp)))
	pseudo = append(pseudo, 0, 0, 0, 6)
	if sum(append(pseudo, tcp...)) != 0xffff {
		return g, errors.New("bad checksum of TCP")
	}
	size := int(tcp[12]>>4) * 4
	if size < 20 || size > len(tcp) {
		return g, errors.New("bad TCP header")
	}
	return segment{
		from:  netip.AddrPortFrom(from, binary.BigEndian.Uint16(tcp)),
		to:    netip.AddrPortFrom(to, binary.BigEndian.Uint16(tcp[2:])),
		seq:   binary.BigEndian.Uint32(tcp[4:]),
		ack:   binary.BigEndian.Uint32(tcp[8:]),
		flags: tcp[13],
		data:  tcp[size:],
	}, nil
}

// sum is the internet's checksum, by its definition.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i]) << 8
		if i+1 < len(b) {
			s += uint32(b[i+1])
		}
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
