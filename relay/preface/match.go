package preface

import (
	"fmt"
	"slices"
	"strings"
)

// A Match says which connections with TLS are meant: those that want one of the
// names, and offer one of the protocols. An empty list takes all.
type Match struct {
	// SNI are host names. One that begins with "*." stands for all names that
	// end with the rest and have one label or more before it: *.example.com is
	// for www.example.com and a.b.example.com, and not for example.com. (So it
	// is in nginx, Envoy and HAProxy's "-m end"; that a certificate's
	// wildcard is for one label only is a matter of TLS and not of routes.) "*"
	// is for every name. Case does not count, and neither does a final dot.
	SNI []string
	// ALPN are protocols, such as "h2". They are compared byte by byte.
	ALPN []string
}

// Fits reports whether h is meant. A connection that names no host fits only a
// Match without SNI.
func (m Match) Fits(h Hello) bool {
	if len(m.SNI) > 0 && !slices.ContainsFunc(m.SNI, func(p string) bool { return fits(p, h.ServerName) }) {
		return false
	}
	return len(m.ALPN) == 0 || slices.ContainsFunc(h.ALPN, func(p string) bool { return slices.Contains(m.ALPN, p) })
}

// fits reports whether a pattern is for a name that is canonical.
func fits(pattern, name string) bool {
	pattern = canonicalName(pattern)
	if pattern == "*" {
		return name != ""
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return name == pattern && name != ""
}

// Check says what is wrong with m: a name that no client can want, a wildcard that
// is not all of the first label, or an empty protocol.
func (m Match) Check() error {
	for _, p := range m.SNI {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	for _, p := range m.ALPN {
		if p == "" || len(p) > 255 {
			return fmt.Errorf("the protocol %q (ALPN) has %d bytes: 1 to 255 are possible", p, len(p))
		}
	}
	return nil
}

func checkPattern(pattern string) error {
	name := canonicalName(pattern)
	if name == "*" {
		return nil
	}
	rest := strings.TrimPrefix(name, "*.")
	for label := range strings.SplitSeq(rest, ".") {
		switch {
		case label == "":
			return fmt.Errorf("the server name %q has an empty label: write example.com or *.example.com", pattern)
		case strings.Contains(label, "*"):
			return fmt.Errorf("the server name %q has a * that is not all of its first label: write *.example.com", pattern)
		}
		for _, c := range label {
			if c >= 0x80 {
				return fmt.Errorf("the server name %q is not ASCII: clients ask for its xn-- form, which is to be written here", pattern)
			}
			if !isNameByte(byte(c)) {
				return fmt.Errorf("the server name %q has a %q, which no name has: write it without scheme, port and path", pattern, c)
			}
		}
	}
	if len(name) > maxName {
		return fmt.Errorf("the server name %.30q… has %d bytes: the limit is %d", pattern, len(name), maxName)
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
