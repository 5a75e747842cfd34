package socket

import (
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
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

// later are kinds that the grammar has a place for, and this version does not.
var later = []string{"tls", "systemd", "fd", "exec", "stdio"}

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
	case text == "echo:":
		return Address{Kind: Echo}, ""
	case text == "discard:":
		return Address{Kind: Discard}, ""
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return parseBare(text)
	}
	switch scheme {
	case "tcp":
		return parseTCP(rest)
	case "unix":
		return parseUnix(rest)
	}
	return Address{}, unknownKind(scheme)
}

// unprintable are runes that no address needs raw, and no terminal should see.
func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// parseBare parses HOST:PORT, and explains what only looks like an address.
func parseBare(text string) (Address, string) {
	scheme, _, ok := strings.Cut(text, ":")
	switch {
	case !ok && (text == "echo" || text == "discard"):
		return Address{}, fmt.Sprintf("did you mean %q?", text+":")
	case !ok:
		return Address{}, "it has no port, kind or leading slash"
	case scheme == "echo" || scheme == "discard":
		return Address{}, fmt.Sprintf("nothing follows %q", scheme+":")
	case scheme == "stdio":
		return Address{}, unknownKind(scheme)
	case scheme == "tcp" || scheme == "unix":
		return Address{}, fmt.Sprintf("two slashes follow %q", scheme+":")
	}
	return parseTCP(text)
}

// unknownKind explains a scheme.
func unknownKind(scheme string) string {
	for _, k := range later {
		if k == scheme {
			return scheme + " addresses are not supported by this version"
		}
	}
	known := append([]string{"tcp", "unix", "echo", "discard"}, later...)
	if best := nearest(scheme, known); best != "" {
		return fmt.Sprintf("unknown kind %q, did you mean %q?", scheme, best)
	}
	return fmt.Sprintf("unknown kind %q", scheme)
}

// parseTCP parses what follows tcp://.
func parseTCP(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return Address{}, "it has no port: write HOST:PORT"
	}
	host, port := rest[:i], rest[i+1:]
	switch {
	case strings.HasPrefix(host, "["):
		inner, closed := strings.CutSuffix(host[1:], "]")
		if _, err := netip.ParseAddr(inner); !closed || err != nil || !strings.Contains(inner, ":") {
			return Address{}, fmt.Sprintf("%q is not an IPv6 address in brackets", host)
		}
		host = inner
	case strings.Contains(host, ":"):
		return Address{}, fmt.Sprintf("an IPv6 address stands in brackets: [%s]:%s", host, port)
	case strings.ContainsAny(host, "/@[]%\\\"' "):
		return Address{}, fmt.Sprintf("%q is not a host", host)
	}
	if port == "" {
		return Address{}, "its port is missing"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' {
		return Address{}, fmt.Sprintf("port %q is not a number from 0 to 65535", port)
	}
	if hasQuery {
		if _, reason := parseOptions(query, "tcp", nil); reason != "" {
			return Address{}, reason
		}
	}
	return Address{Kind: TCP, Host: host, Port: uint16(n)}, ""
}

// parseUnix parses what follows unix://.
func parseUnix(rest string) (Address, string) {
	rest, query, hasQuery := strings.Cut(rest, "?")
	path, err := url.PathUnescape(rest)
	if err != nil {
		return Address{}, "a % in it is not followed by two hexadecimal digits"
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
	if hasQuery {
		known := []string{"mode"}
		if a.Abstract {
			known = nil // there is no file
		}
		options, reason := parseOptions(query, "unix", known)
		if reason != "" {
			return Address{}, reason
		}
		if a.Mode, reason = parseMode(options["mode"]); reason != "" {
			return Address{}, reason
		}
	}
	return a, ""
}

func parseMode(s string) (fs.FileMode, string) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 || s[0] == '+' {
		return 0, fmt.Sprintf("mode %q is not an octal number from 0001 to 0777", s)
	}
	return fs.FileMode(n), ""
}

// parseOptions parses a query: key=value, with & between them, each known key
// once.
func parseOptions(query, kind string, known []string) (map[string]string, string) {
	options := make(map[string]string)
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" {
			return nil, fmt.Sprintf("option %q: write NAME=VALUE", pair)
		}
		if _, twice := options[key]; twice {
			return nil, fmt.Sprintf("option %q is given twice", key)
		}
		options[key] = value
		if reason := unknownOption(key, kind, known); reason != "" {
			return nil, reason
		}
	}
	return options, ""
}

func unknownOption(key, kind string, known []string) string {
	for _, k := range known {
		if k == key {
			return ""
		}
	}
	switch best := nearest(key, known); {
	case best != "":
		return fmt.Sprintf("unknown option %q, did you mean %q?", key, best)
	case len(known) == 0:
		return fmt.Sprintf("unknown option %q: this %s address takes none", key, kind)
	}
	return fmt.Sprintf("unknown option %q: a %s address takes %s", key, kind, strings.Join(known, ", "))
}

// escape writes a path so that parseUnix reads it back.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if r == '%' || r == '?' || unprintable(r) || r == '\uFFFD' {
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
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
