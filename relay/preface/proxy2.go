package preface

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Version 2 is binary: the signature; a byte with the version and the command; one
// with the family and the transport; and the length of what follows, in two bytes:
// addresses, and then TLVs.
const (
	fixed2 = len(signature2) + 4

	commandLocal = 0x20
	commandProxy = 0x21

	familyUnspec = 0x0
	familyIPv4   = 0x1
	familyIPv6   = 0x2
	familyUnix   = 0x3

	transportStream   = 0x1
	transportDatagram = 0x2

	unixPath = 108 // bytes of a path
)

// families are the known ones: how they are called, and how long their addresses
// are.
var families = [...]struct {
	name   string
	length int
}{
	familyIPv4: {"IPv4", 2 * (4 + 2)},
	familyIPv6: {"IPv6", 2 * (16 + 2)},
	familyUnix: {"Unix", 2 * unixPath},
}

// parse2 parses version 2. Each check looks at bytes that are there, and comes
// before those that look at later ones.
func parse2(seen []byte) (h Header, n int, done bool, err error) {
	command := seen[len(signature2)]
	switch {
	case command>>4 != 2:
		err = badProxy("its version is %d: 2 is the only one with this signature", command>>4)
	case command != commandLocal && command != commandProxy:
		err = badProxy("its command is %d, neither LOCAL (0) nor PROXY (1)", command&15)
	}
	if err != nil || len(seen) < len(signature2)+2 {
		return Header{}, 0, false, err
	}
	family, transport := seen[len(signature2)+1]>>4, seen[len(signature2)+1]&15
	if command == commandProxy {
		if err := checkFamily(family, transport); err != nil {
			return Header{}, 0, false, err
		}
	}
	if len(seen) < fixed2 {
		return Header{}, 0, false, nil
	}
	n = fixed2 + int(binary.BigEndian.Uint16(seen[fixed2-2:]))
	switch {
	case n > MaxProxy:
		return Header{}, 0, false, badProxy("it has %d bytes: the limit is %d", n, MaxProxy)
	case command == commandProxy && n < fixed2+families[family].length:
		return Header{}, 0, false, badProxy("its length of %d is less than the %d of its %s addresses", n-fixed2, families[family].length, families[family].name)
	case len(seen) < n:
		return Header{}, 0, false, nil
	}
	h.Version = 2
	if command == commandLocal {
		return parseLocal(seen[:n], family), n, true, nil
	}
	h.Datagram = transport == transportDatagram
	h.takeAddresses(family, seen[fixed2:])
	if err := h.takeTLVs(seen[:n], fixed2+families[family].length); err != nil {
		return Header{}, 0, false, err
	}
	return h, n, true, nil
}

// parseLocal parses a header of the command LOCAL. Its addresses are to be ignored,
// and strictly all of the rest is; but HAProxy writes one, with TLVs, for clients
// that have no IP address. So what is right is taken, and what is not ignored.
func parseLocal(header []byte, family byte) Header {
	h := Header{Version: 2, Local: true}
	if family == familyUnspec && h.takeTLVs(header, fixed2) != nil {
		return Header{Version: 2, Local: true}
	}
	return h
}

func checkFamily(family, transport byte) error {
	switch {
	case family == familyUnspec && transport == 0:
		return nil
	case family > familyUnix:
		return badProxy("its address family is %d: 0 to 3 are known", family)
	case family == familyUnspec, transport != transportStream && transport != transportDatagram:
		return badProxy("its transport is %d, which the address family %d does not have", transport, family)
	}
	return nil
}

func (h *Header) takeAddresses(family byte, b []byte) {
	switch family {
	case familyIPv4:
		h.Source = ipEnd(netip.AddrFrom4([4]byte(b)), b[8:])
		h.Destination = ipEnd(netip.AddrFrom4([4]byte(b[4:])), b[10:])
	case familyIPv6:
		h.Source = ipEnd(netip.AddrFrom16([16]byte(b)).Unmap(), b[32:])
		h.Destination = ipEnd(netip.AddrFrom16([16]byte(b[16:])).Unmap(), b[34:])
	case familyUnix:
		h.Unix = true
		h.SourcePath, h.DestinationPath = unixEnd(b[:unixPath]), unixEnd(b[unixPath:2*unixPath])
	}
}

func ipEnd(a netip.Addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// unixEnd returns a name that zeros follow. An abstract one has a zero before it.
func unixEnd(b []byte) string {
	name, mark := b, ""
	if b[0] == 0 {
		name, mark = b[1:], "@"
	}
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	if len(name) == 0 {
		return ""
	}
	return mark + string(name)
}
