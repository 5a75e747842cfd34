package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
)

// A TLSError is TLS that has failed, and whose fault it was.
type TLSError struct {
	Why string // in words: what failed, and on which side
	Err error  // what was underneath, or nil
}

// Error says why. What is quoted of the peer, which may have put thousands of names
// into its certificate or its ClientHello, is cut off.
func (e *TLSError) Error() string {
	if e.Err == nil {
		return "tls: " + e.Why
	}
	text := strings.TrimPrefix(e.Err.Error(), "tls: ")
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return "tls: " + e.Why + ": " + text
}

// maxCause is how much of what was underneath is said.
const maxCause = 400

// Unwrap returns what was underneath.
func (e *TLSError) Unwrap() error { return e.Err }

// ErrNoCloseNotify is the end of a TLS stream by a FIN alone, without the
// close_notify that only the peer can send: bytes may be missing at its end. For
// [IsReset] it is a reset.
var ErrNoCloseNotify = errors.New("the connection ended without close_notify: the stream may be cut")

// explain returns what an error of package tls means, during the handshake or
// after it. Errors of the connection are returned as they are.
func (t *tlsTransport) explain(err error, shaking bool) error {
	var header tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	var own *TLSError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.As(err, &own):
		return own
	case errors.Is(err, ErrNoCloseNotify) && shaking:
		return &TLSError{"the peer ended the connection during the handshake", nil}
	case errors.Is(err, ErrNoCloseNotify):
		return ErrNoCloseNotify
	case errors.As(err, &header):
		return &TLSError{"the peer does not speak TLS: " + spoken(header.RecordHeader[:], t.side.client), nil}
	case errors.As(err, &certificate):
		return &TLSError{"the peer's certificate is refused", unverified(certificate.Err)}
	case errors.As(err, &op) && op.Op == "remote error":
		return &TLSError{"the peer refuses", errors.New(t.refusal(strings.TrimPrefix(op.Err.Error(), "tls: ")))}
	case errors.As(err, &op), isSyscall(err):
		return err
	case shaking:
		return &TLSError{"no handshake", err}
	}
	return &TLSError{"the peer breaks the protocol", err}
}

func isSyscall(err error) bool {
	err = reason(err)
	return errors.Is(err, net.ErrClosed) || IsReset(err) || IsTimeout(err) || IsExhausted(err)
}

// openings are what peers say that do not speak TLS.
var openings = []struct{ begin, what string }{
	{"GET ", "it sends a plain HTTP request"}, {"HEAD ", "it sends a plain HTTP request"},
	{"POST ", "it sends a plain HTTP request"}, {"PUT ", "it sends a plain HTTP request"},
	{"DELET", "it sends a plain HTTP request"}, {"OPTIO", "it sends a plain HTTP request"},
	{"PATCH", "it sends a plain HTTP request"}, {"CONNE", "it sends a plain HTTP request"},
	{"PRI *", "it sends plain HTTP/2"}, {"HTTP/", "it sends a plain HTTP response"},
	{"SSH-", "it speaks SSH"}, {"PROXY", "it sends a PROXY header"}, {"\r\n\r\n\x00", "it sends a PROXY header"},
	{"220 ", "it greets like an SMTP or FTP server"}, {"* OK", "it greets like an IMAP server"},
}

// spoken says what the first five bytes of a peer look like.
func spoken(first []byte, client bool) string {
	for _, o := range openings {
		if strings.HasPrefix(string(first), o.begin) {
			return o.what
		}
	}
	if client {
		return "is this its TLS port?"
	}
	return "its first bytes are no ClientHello"
}

// unverified puts what package x509 says about a certificate into words that
// name the remedy.
func unverified(err error) error {
	var authority x509.UnknownAuthorityError
	if errors.As(err, &authority) {
		return errors.New("it is signed by an authority that is not trusted here: see the options ca and client_ca")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "x509: "))
}

// refusals are what the peer's alerts mean, where the alert's name leaves a
// question.
var refusals = map[string]string{
	"unknown certificate authority":  "it does not trust the authority of our certificate",
	"certificate required":           "it wants a certificate of ours: see the options cert and key",
	"bad certificate":                "it does not accept our certificate",
	"expired certificate":            "our certificate has expired, to it",
	"protocol version not supported": "it has none of our TLS versions: see the option min",
	"handshake failure":              "it shares no version, cipher or certificate kind with us, or wants a certificate of ours",
	"unrecognized name":              "it does not serve the name that was asked for: see the option sni",
	"no application protocol":        "it has none of our protocols: see the option alpn",
	"inappropriate fallback":         "it has a later TLS version than this one",
}

// refusal says what an alert means.
func (t *tlsTransport) refusal(alert string) string {
	if t.side.secret() {
		return errOtherKey.Error()
	}
	if meant := refusals[alert]; meant != "" {
		return meant + " (" + alert + ")"
	}
	return alert
}
