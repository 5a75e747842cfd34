package preface

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// Append appends h to dst as a header of version 1 or 2, for the server that the
// connection is relayed to. Version 1 has no TLVs and no datagrams. If one address is
// IPv4 and the other is not, both are written as IPv6. Zones are left out, as there
// is no place for them.
//
// Without IP addresses a header says that the client is unknown: in version 1
// UNKNOWN, in version 2 LOCAL, with the TLVs. So does HAProxy. The specification has
// also words for Unix sockets and for "somebody's, unspecified", but HAProxy and
// nginx end connections that begin with them.
//
// It is an error if there is no such version, or if h is longer than [MaxProxy];
// dst is then returned as it was. nginx up to 1.22 takes no more than 107 bytes: it
// is not to be sent TLVs.
func (h *Header) Append(dst []byte, version int) ([]byte, error) {
	switch version {
	case 1:
		return h.append1(dst), nil
	case 2:
		return h.append2(dst)
	}
	return dst, fmt.Errorf("PROXY header: there is no version %d: use 1 or 2", version)
}

// ip reports whether h has two IP addresses.
func (h *Header) ip() bool {
	return !h.Local && !h.Unix && h.Source.IsValid() && h.Destination.IsValid()
}

// ends returns the addresses, both of one family.
func (h *Header) ends() (src, dst netip.Addr) {
	src, dst = h.Source.Addr().Unmap().WithZone(""), h.Destination.Addr().Unmap().WithZone("")
	if src.Is4() != dst.Is4() {
		src, dst = netip.AddrFrom16(src.As16()), netip.AddrFrom16(dst.As16())
	}
	return src, dst
}

func (h *Header) append1(b []byte) []byte {
	if !h.ip() || h.Datagram {
		return append(b, signature1+"UNKNOWN\r\n"...)
	}
	src, dst := h.ends()
	family := "TCP4"
	if src.Is6() {
		family = "TCP6"
	}
	return fmt.Appendf(b, "%s%s %s %s %d %d\r\n", signature1, family, src, dst, h.Source.Port(), h.Destination.Port())
}

func (h *Header) append2(dst []byte) ([]byte, error) {
	b := append(dst, signature2...)
	transport := byte(transportStream)
	if h.Datagram {
		transport = transportDatagram
	}
	if h.ip() {
		src, to := h.ends()
		family := byte(familyIPv4)
		if src.Is6() {
			family = familyIPv6
		}
		b = append(b, commandProxy, family<<4|transport, 0, 0)
		b = append(append(b, src.AsSlice()...), to.AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, h.Source.Port())
		b = binary.BigEndian.AppendUint16(b, h.Destination.Port())
	} else {
		b = append(b, commandLocal, familyUnspec, 0, 0)
	}
	return h.appendTLVs(dst, b)
}

// appendTLVs appends them to b, which is dst and the header so far, and sets the
// length.
func (h *Header) appendTLVs(dst, b []byte) ([]byte, error) {
	total := len(b) - len(dst)
	for _, v := range h.TLVs {
		total += tlvHead + len(v.Value)
	}
	if h.Checksum {
		total += tlvHead + 4
	}
	if total > MaxProxy {
		return dst, badProxy("it would have %d bytes: the limit is %d", total, MaxProxy)
	}
	for _, v := range h.TLVs {
		b = appendTLV(b, v.Type, v.Value)
	}
	if h.Checksum {
		b = appendTLV(b, typeCRC32C, make([]byte, 4))
	}
	header := b[len(dst):]
	binary.BigEndian.PutUint16(header[fixed2-2:], uint16(total-fixed2))
	if h.Checksum {
		binary.BigEndian.PutUint32(header[total-4:], crc32.Checksum(header, castagnoli))
	}
	return b, nil
}
