package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Which peers are let in: their certificates are verified before.

// verifyPeer holds a peer to the lists of the options allow_cn, allow_san and
// allow_spki. Any line of any list that fits lets it in; without lists all are.
func (s *tlsSettings) verifyPeer(c tls.ConnectionState) error {
	if len(s.allowCN)+len(s.allowSAN)+len(s.allowSPKI) == 0 {
		return nil
	}
	if len(c.PeerCertificates) == 0 {
		if s.optional {
			return nil
		}
		return &TLSError{"the peer shows no certificate", nil}
	}
	leaf := c.PeerCertificates[0]
	if s.allows(leaf) {
		return nil
	}
	names := append([]string{"CN:" + leaf.Subject.CommonName}, sans(leaf)...)
	return &TLSError{"the peer's certificate is not one that is allowed", fmt.Errorf("it has %s and the key %s",
		strings.Join(names, ", "), spki(leaf))}
}

func (s *tlsSettings) allows(leaf *x509.Certificate) bool {
	if slices.Contains(s.allowSPKI, spki(leaf)) {
		return true
	}
	for _, rule := range s.allowCN {
		if fitsName(rule, leaf.Subject.CommonName) {
			return true
		}
	}
	for _, rule := range s.allowSAN {
		for _, name := range sans(leaf) {
			if rule == name {
				return true
			}
			name, dns := strings.CutPrefix(name, "DNS:")
			if rule, ok := strings.CutPrefix(rule, "DNS:"); ok && dns && fitsName(rule, name) {
				return true
			}
		}
	}
	return false
}

// fitsName compares without regard to case, that of ASCII: there are other signs
// whose lower case is a k or an s, and they are other names. The rule *.example.com
// fits one label more, as in certificates: a.example.com, and not example.com or
// a.b.example.com.
func fitsName(rule, name string) bool {
	suffix, wild := strings.CutPrefix(rule, "*.")
	if wild {
		var label string
		if label, name, wild = strings.Cut(name, "."); !wild || label == "" {
			return false
		}
		return equalName(suffix, name)
	}
	return name != "" && equalName(rule, name)
}

func equalName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// withoutPrefix takes the name of a package off an error.
func withoutPrefix(prefix string, err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), prefix))
}
