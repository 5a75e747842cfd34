package socket

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseAddress parses an address; see [Address] for the grammar. The error is an
// [*AddressError].
func ParseAddress(text string) (Address, error) {
	a, reason := parseAddress(text)
	if reason != "" {
		return Address{}, &AddressError{text, reason}
	}
	return a, nil
}

// parseAddress returns the address, or what is wrong with text.
func parseAddress(text string) (Address, string) {
	if text == "" {
		return Address{}, "it is empty"
	}
	if i := strings.IndexFunc(text, unprintable); i >= 0 {
		return Address{}, fmt.Sprintf("byte %d is not printable: write it as %%XX", i+1)
	}
	switch {
	case strings.HasPrefix(text, "/"):
		return parseUnix(text)
	case strings.HasPrefix(text, "@"):
		return Address{}, "an abstract name is written unix://" + text
	case strings.HasSuffix(text, ":") && bare[text[:len(text)-1]] != 0:
		return Address{Kind: bare[text[:len(text)-1]]}, ""
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return parseBare(text)
	}
	switch scheme {
	case "tcp":
		return parseTCP(TCP, rest)
	case "tls":
		return parseTCP(TLS, rest)
	case "unix":
		return parseUnix(rest)
	case "fd":
		return parseFD(rest)
	case "systemd":
		return parseSystemd(rest)
	case "exec":
		return parseExec(rest)
	}
	if bare[scheme] != 0 {
		return Address{}, fmt.Sprintf("nothing follows %q", scheme+":")
	}
	return Address{}, unknownKind(scheme)
}

// bare are the kinds that are written as their name and a colon.
var bare = map[string]Kind{"stdio": Stdio, "echo": Echo, "discard": Discard}

// unprintable are runes that no address needs raw, and no terminal should see.
// Bytes that are not UTF-8 come as a utf8.RuneError.
func unprintable(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }

// parseBare parses HOST:PORT, and explains what only looks like an address.
func parseBare(text string) (Address, string) {
	scheme, _, ok := strings.Cut(text, ":")
	switch {
	case !ok && bare[text] != 0:
		return Address{}, fmt.Sprintf("did you mean %q?", text+":")
	case !ok:
		return Address{}, "it has no port, kind or leading slash"
	case bare[scheme] != 0:
		return Address{}, fmt.Sprintf("nothing follows %q", scheme+":")
	case scheme == "tcp" || scheme == "tls" || scheme == "unix" || scheme == "systemd" || scheme == "exec":
		return Address{}, fmt.Sprintf("two slashes follow %q", scheme+":")
	}
	return parseTCP(TCP, text)
}

// unknownKind explains a scheme.
func unknownKind(scheme string) string {
	if best := nearest(strings.ToLower(scheme), kindNames[TCP:]); best != "" {
		return fmt.Sprintf("unknown kind %q, did you mean %q?", scheme, best)
	}
	return fmt.Sprintf("unknown kind %q", scheme)
}

// parseTCP parses what follows tcp:// and tls://.
func parseTCP(k Kind, rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	host, port, reason := parseHostPort(rest)
	if reason != "" {
		return Address{}, reason
	}
	return withOptions(Address{Kind: k, Host: host, Port: port}, query, hasQuery)
}

// parseHostPort parses HOST:PORT, :PORT and [IPv6]:PORT.
func parseHostPort(text string) (host string, port uint16, reason string) {
	i := strings.LastIndexByte(text, ':')
	switch {
	case strings.HasPrefix(text, "[") && !strings.Contains(text, "]:"):
		return "", 0, "it has no port after a bracket: write [IPv6]:PORT"
	case i < 0:
		return "", 0, "it has no port: write HOST:PORT"
	}
	host, digits := text[:i], text[i+1:]
	switch {
	case strings.HasPrefix(host, "["):
		inner, closed := strings.CutSuffix(host[1:], "]")
		ip, ok := parseIPv6(inner)
		if !closed || !ok {
			return "", 0, fmt.Sprintf("%q is not an IPv6 address in brackets", host)
		}
		host = ip.String() // one way to write it, so that equal addresses are equal
	case strings.Contains(host, ":"):
		return "", 0, bareIPv6(text, host, digits)
	case strings.ContainsAny(host, notInHosts):
		return "", 0, fmt.Sprintf("%q is not a host", host)
	}
	if digits == "" {
		return "", 0, "its port is missing"
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || digits[0] == '+' {
		return "", 0, fmt.Sprintf("port %q is not a number from 0 to 65535", digits)
	}
	return host, uint16(n), ""
}

// bareIPv6 explains a text with several colons: an IPv6 address with a port after
// it, or without, or none.
func bareIPv6(text, host, port string) string {
	if _, ok := parseIPv6(host); ok {
		return fmt.Sprintf("an IPv6 address stands in brackets: [%s]:%s", host, port)
	}
	if _, ok := parseIPv6(text); ok {
		return fmt.Sprintf("an IPv6 address stands in brackets, and has no port: write [%s]:PORT", text)
	}
	return fmt.Sprintf("%q is not a host", host)
}

// notInHosts are in no host's name and in no IPv6 zone.
const notInHosts = "/@[]%\\\"' "

// parseIPv6 parses an IPv6 address with or without a zone.
func parseIPv6(s string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && ip.Is6() && !strings.ContainsAny(ip.Zone(), notInHosts)
}

// parseUnix parses what follows unix://.
func parseUnix(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	path, err := url.PathUnescape(rest)
	if err != nil {
		return Address{}, badEscape
	}
	a := Address{Kind: Unix, Path: path}
	switch {
	case strings.HasPrefix(rest, "@"):
		a.Path, a.Abstract = path[1:], true
	case !strings.HasPrefix(rest, "/"):
		return Address{}, "a path begins with a slash, so that there are three: unix:///PATH"
	}
	switch {
	case a.Path == "" || a.Path == "/":
		return Address{}, "its path is missing"
	case strings.Contains(a.Path, "\x00"):
		return Address{}, "its path has a zero byte"
	case len(a.Path) > maxUnixPath:
		return Address{}, fmt.Sprintf("its path has %d bytes; the system takes %d", len(a.Path), maxUnixPath)
	}
	return withOptions(a, query, hasQuery)
}

const badEscape = "a % in it is not followed by two hexadecimal digits"

// parseFD parses what follows fd://.
func parseFD(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	n, err := strconv.ParseUint(rest, 10, 20)
	if err != nil {
		return Address{}, fmt.Sprintf("%q is not the number of a descriptor", rest)
	}
	return withOptions(Address{Kind: FD, FD: int(n)}, query, hasQuery)
}

// maxSystemdName is how long systemd lets a descriptor's name be.
const maxSystemdName = 255

// parseSystemd parses what follows systemd://.
func parseSystemd(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	name, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return Address{}, badEscape
	case name == "":
		return Address{}, "its name is missing: write the FileDescriptorName of the socket unit"
	case len(name) > maxSystemdName || strings.ContainsAny(name, ":\x00"):
		return Address{}, fmt.Sprintf("%q is not a name that systemd gives to a descriptor", name)
	}
	return withOptions(Address{Kind: Systemd, Path: name}, query, hasQuery)
}

// parseExec parses what follows exec://.
func parseExec(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	path, err := url.PathUnescape(rest)
	switch {
	case err != nil:
		return Address{}, badEscape
	case !strings.HasPrefix(path, "/"):
		return Address{}, "a path begins with a slash, so that there are three: exec:///PATH"
	case strings.HasSuffix(path, "/"):
		return Address{}, "its path does not name a program"
	case strings.Contains(path, "\x00"):
		return Address{}, "its path has a zero byte"
	}
	return withOptions(Address{Kind: Exec, Path: path}, query, hasQuery)
}

// withOptions returns a with the options of a query, if there is one.
func withOptions(a Address, query string, has bool) (Address, string) {
	if !has {
		return a, ""
	}
	_, canonical, reason := parseOptions(a, query)
	if reason != "" {
		return Address{}, reason
	}
	a.Options = canonical
	return a, ""
}

// nearest returns the word of list that s was probably meant to be, or "".
func nearest(s string, list []string) string {
	best, least := "", 1+len(s)/3
	for _, w := range list {
		if d := distance(s, w); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// distance counts the letters to add, remove, change or swap between a and b.
func distance(a, b string) int {
	if len(a) > 2*len(b)+2 {
		return len(a) // far enough, and no matter for a table
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
