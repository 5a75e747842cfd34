package socket

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"

	"relayd/lifetime"
)

// A TLSInfo is what a handshake has agreed on.
type TLSInfo struct {
	Version  string // such as "TLS 1.3"
	Cipher   string
	SNI      string // the name that the client asked for, or ""
	ALPN     string // the protocol that both have chosen, or ""
	Resumed  bool   // of an earlier session: never, as there are no tickets
	Verified bool   // the peer has shown a certificate, or a key, and was held to it

	// Of the peer's certificate, if it has shown one. Of a tunnel there is the
	// key only.
	Subject    string
	CommonName string
	SANs       []string // such as "DNS:example.com", "URI:spiffe://a/b"
	SPKI       string   // the SHA-256 of its public key, in base64; see the option allow_spki

	// Stale is why the files of certificates and keys, which have changed, are
	// not those in use; see [ReloadCertificates].
	Stale error
}

// Handshake does the TLS handshake of a socket of the kind tls, and returns what
// was agreed on; again, when it was done. Of other kinds it does nothing. A
// socket that was dialled has done it. One that was accepted does it now, on the
// goroutine that calls; otherwise the first Read or Write does, without a bound.
//
// When ctx ends, the socket is dropped or shut down, or it fails, with a
// [*TLSError] that says whose fault it was, the connection is of no use any more.
// The peer has been told by an alert; drop the socket, so that it gets it.
//
// A client that speaks TLS 1.3 is through before the server has seen its
// certificate: a refusal comes at its first Read.
func (s *Socket) Handshake(ctx context.Context) (TLSInfo, error) {
	t, ok := s.t.(*tlsTransport)
	if !ok {
		return TLSInfo{}, nil
	}
	if err := s.node.Enter(); err != nil {
		return TLSInfo{}, s.error("handshake", err)
	}
	defer s.node.Leave()
	if err := t.handshake(ctx); err != nil {
		// A drop interrupts before the socket is anything but live.
		if own := s.node.Err(); errors.Is(own, net.ErrClosed) {
			return TLSInfo{}, s.error("handshake", own)
		}
		s.node.Ended(lifetime.Failed, reason(err))
		return TLSInfo{}, s.error("handshake", reason(err))
	}
	return t.info, nil
}

// TLSInfo returns what the handshake has agreed on. It reports false for other
// kinds, and before the handshake.
func (s *Socket) TLSInfo() (TLSInfo, bool) {
	t, ok := s.t.(*tlsTransport)
	if !ok || !t.up.Load() {
		return TLSInfo{}, false
	}
	return t.info, true
}

// infoOf is what c says. Of a tunnel's certificate, which is made up, nothing is
// told.
func infoOf(c tls.ConnectionState, secret bool) TLSInfo {
	i := TLSInfo{
		Version: tls.VersionName(c.Version), Cipher: tls.CipherSuiteName(c.CipherSuite),
		SNI: c.ServerName, ALPN: c.NegotiatedProtocol, Resumed: c.DidResume,
	}
	if len(c.PeerCertificates) == 0 {
		return i
	}
	leaf := c.PeerCertificates[0]
	i.Verified = secret || len(c.VerifiedChains) > 0
	i.SPKI = spki(leaf)
	if !secret {
		i.Subject, i.CommonName, i.SANs = leaf.Subject.String(), leaf.Subject.CommonName, sans(leaf)
	}
	return i
}

// spki is the pin of a certificate's key, as in RFC 7469.
func spki(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// sans are a certificate's names, with their kinds.
func sans(c *x509.Certificate) (list []string) {
	for _, n := range c.DNSNames {
		list = append(list, "DNS:"+n)
	}
	for _, n := range c.URIs {
		list = append(list, "URI:"+n.String())
	}
	for _, n := range c.IPAddresses {
		list = append(list, "IP:"+n.String())
	}
	for _, n := range c.EmailAddresses {
		list = append(list, "email:"+n)
	}
	return list
}
