package preface

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// What a header of each version begins with.
const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// maxProxy1 is how long a header of version 1 can be: PROXY UNKNOWN with two IPv6
// addresses, and what ends the line.
const maxProxy1 = 107

// ParseProxy parses the PROXY header that a connection begins with, of version 1
// or 2. seen is what has come so far. When it is not the whole header yet, done is
// false; when it is, n is how long the header is. An error is [ErrNoHeader], or an
// [*Error] that says what is wrong; bytes that follow change nothing about it.
func ParseProxy(seen []byte) (h Header, n int, done bool, err error) {
	switch {
	case begins(seen, signature1):
		if len(seen) > len(signature1) {
			return parse1(seen)
		}
	case begins(seen, signature2):
		if len(seen) > len(signature2) {
			return parse2(seen)
		}
	default:
		return Header{}, 0, false, ErrNoHeader
	}
	return Header{}, 0, false, nil
}

// begins reports whether seen begins with signature, as far as there is any of it.
func begins(seen []byte, signature string) bool {
	n := min(len(seen), len(signature))
	return string(seen[:n]) == signature[:n]
}

// parse1 parses version 1: a line of text.
func parse1(seen []byte) (h Header, n int, done bool, err error) {
	line := seen[:min(len(seen), maxProxy1)]
	n = bytes.IndexByte(line, '\n') + 1
	switch {
	case n == 0 && len(line) < maxProxy1:
		return Header{}, 0, false, nil
	case n == 0:
		return Header{}, 0, false, badProxy("its line does not end within %d bytes", maxProxy1)
	case line[n-2] != '\r':
		return Header{}, 0, false, badProxy("its line ends with a line feed alone, and not with CR LF")
	}
	if h, err = parseLine(string(line[len(signature1) : n-2])); err != nil {
		return Header{}, 0, false, err
	}
	return h, n, true, nil
}

// parseLine parses what is between the signature and the end of the line.
func parseLine(line string) (Header, error) {
	h := Header{Version: 1}
	family, rest, _ := strings.Cut(line, " ")
	switch family {
	case "UNKNOWN":
		return h, nil // whatever follows is to be ignored
	case "TCP4", "TCP6":
	default:
		return h, badProxy("its protocol is %.20q, not TCP4, TCP6 or UNKNOWN", family)
	}
	fields := strings.Split(rest, " ")
	if len(fields) != 4 {
		return h, badProxy("%s is followed by %d fields with one space between them, not by 4: two addresses and two ports", family, len(fields))
	}
	var err error
	if h.Source, err = parseEnd(family, "source", fields[0], fields[2]); err != nil {
		return h, err
	}
	h.Destination, err = parseEnd(family, "destination", fields[1], fields[3])
	return h, err
}

func parseEnd(family, which, address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, badProxy("its %s %.50q is not an IP address", which, address)
	}
	if a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, badProxy("its %s %s is not of the family %s", which, a, family)
	}
	// The specification wants ports without leading zeros.
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, badProxy("its %s port %.20q is not a number from 0 to 65535 without leading zeros", which, port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), nil
}
