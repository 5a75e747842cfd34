// Package pcapngtest reads captures that package pcapng wrote, for tests. It is
// strict: what it accepts has right lengths and checksums, and each of its
// streams has a handshake, its bytes in order, every byte acknowledged only after
// it was sent, and one end.
package pcapngtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A packet is one block of a capture.
type packet struct {
	at      time.Time
	data    []byte
	comment string
}

// Read returns the streams of a capture, in the order of their handshakes. An
// error says at which byte of the file the trouble is, or in which packet; the
// streams before it are returned all the same.
func Read(file []byte) ([]*Stream, error) {
	packets, err := blocks(file)
	s, serr := streams(packets)
	return s, errors.Join(err, serr)
}

// Types of blocks.
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	enhancedPacket = 6
)

var order = binary.LittleEndian

// blocks takes the file apart.
func blocks(file []byte) (packets []packet, err error) {
	interfaces := -1 // in this section; none has begun
	for at := 0; at < len(file); {
		kind, body, err := block(file[at:])
		if err != nil {
			return packets, fmt.Errorf("byte %d: %w", at, err)
		}
		switch {
		case kind == sectionHeader:
			interfaces, err = 0, checkSection(body)
		case kind == interfaceBlock && interfaces >= 0:
			interfaces++
			err = checkInterface(body)
		case kind == enhancedPacket && interfaces == 1:
			var p packet
			p, err = readPacket(body)
			packets = append(packets, p)
		default:
			err = fmt.Errorf("a block of type %#x does not belong here", kind)
		}
		if err != nil {
			return packets, fmt.Errorf("byte %d: %w", at, err)
		}
		at += len(body) + 12
	}
	if interfaces < 0 {
		return packets, errors.New("no section")
	}
	return packets, nil
}

// block returns the first block's type and body.
func block(b []byte) (kind uint32, body []byte, err error) {
	if len(b) < 12 {
		return 0, nil, errors.New("block cut off")
	}
	n := order.Uint32(b[4:])
	switch {
	case n < 12 || n%4 != 0:
		return 0, nil, fmt.Errorf("bad length %d of a block", n)
	case uint64(n) > uint64(len(b)):
		return 0, nil, errors.New("block cut off")
	case order.Uint32(b[n-4:]) != n:
		return 0, nil, errors.New("the block's two lengths differ")
	}
	return order.Uint32(b), b[8 : n-4], nil
}

func checkSection(b []byte) error {
	if len(b) < 16 || order.Uint32(b) != 0x1a2b3c4d || order.Uint16(b[4:]) != 1 || order.Uint16(b[6:]) != 0 {
		return errors.New("bad section header")
	}
	_, err := options(b[16:])
	return err
}

func checkInterface(b []byte) error {
	if len(b) < 8 || order.Uint16(b) != 101 {
		return errors.New("bad interface, or one whose packets do not begin with IP")
	}
	opts, err := options(b[8:])
	if err == nil && opts[9] != "\x09" {
		err = errors.New("times are not in nanoseconds")
	}
	return err
}

// options returns those that a block ends with.
func options(b []byte) (map[uint16]string, error) {
	opts := make(map[uint16]string)
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errors.New("option cut off")
		}
		code, n := order.Uint16(b), int(order.Uint16(b[2:]))
		padded := 4 + (n+3)/4*4
		if padded > len(b) {
			return nil, errors.New("option cut off")
		}
		if code == 0 {
			if len(b) != 4 || n != 0 {
				return nil, errors.New("something follows the end of the options")
			}
			return opts, nil
		}
		opts[code], b = string(b[4:4+n]), b[padded:]
	}
	return opts, nil
}

func readPacket(b []byte) (packet, error) {
	if len(b) < 20 {
		return packet{}, errors.New("packet cut off")
	}
	captured, length := order.Uint32(b[12:]), order.Uint32(b[16:])
	padded := (uint64(captured) + 3) / 4 * 4
	if order.Uint32(b) != 0 || captured != length || padded > uint64(len(b)-20) {
		return packet{}, errors.New("bad packet")
	}
	opts, err := options(b[20+padded:])
	stamp := uint64(order.Uint32(b[4:]))<<32 | uint64(order.Uint32(b[8:]))
	return packet{time.Unix(0, int64(stamp)), b[20 : 20+captured], opts[1]}, err
}
