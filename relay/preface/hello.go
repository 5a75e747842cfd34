package preface

import (
	"encoding/binary"
	"slices"
	"strings"
)

// MaxHello is how many bytes a ClientHello may have, its records' headers
// included. Those of browsers have some 2 KiB.
const MaxHello = 32 << 10

// A Hello is what a ClientHello says of where it is to go.
type Hello struct {
	// ServerName is the host that the client wants (SNI), in lower case and
	// without a final dot; "" if it does not say.
	ServerName string
	// ALPN are the protocols that it offers, the one it likes best first.
	ALPN []string
	// ECH: it has the extension for an encrypted ClientHello, as many clients
	// do that have nothing to encrypt. If there is one, ServerName is what its
	// host is reached by, and not the host.
	ECH bool
}

// TLS as it is on the wire, for as much as is looked at.
const (
	recordHandshake = 22
	recordHead      = 1 + 2 + 2
	recordMax       = 1 << 14
	messageHello    = 1
	messageHead     = 1 + 3

	extensionSNI  = 0
	extensionALPN = 16
	extensionECH  = 0xfe0d

	nameHost = 0
	maxName  = 255
)

// ParseHello parses the ClientHello that a connection begins with, of any version
// of TLS, in however many records. seen is what has come so far. When it is not
// the whole ClientHello yet, done is false. An error is a [*NotTLSError], or an
// [*Error] that says what is wrong with the ClientHello; bytes that follow change
// nothing about it. Nothing of seen is consumed.
func ParseHello(seen []byte) (h Hello, done bool, err error) {
	if len(seen) == 0 {
		return Hello{}, false, nil
	}
	if what, known := whatElse(seen); what != "" || !known {
		if known {
			err = &NotTLSError{what}
		}
		return Hello{}, false, err
	}
	message, done, err := joinRecords(seen)
	if err != nil || !done {
		return Hello{}, false, err
	}
	if err := h.take(message); err != nil {
		return Hello{}, false, err
	}
	return h, true, nil
}

// joinRecords returns the first message that records bring, whole.
func joinRecords(seen []byte) (message []byte, done bool, err error) {
	var head [messageHead]byte
	have, want := 0, len(head)
	for b := seen[:min(len(seen), MaxHello)]; have < want; {
		piece, rest, err := cutRecord(b)
		if err != nil {
			return nil, false, err
		}
		if len(piece) == 0 {
			return tooLong(seen)
		}
		if have < len(head) {
			copy(head[have:], piece)
		}
		have += len(piece)
		if head[0] != messageHello {
			return nil, false, badHello("the client begins with another message of TLS, of type %d", head[0])
		}
		if have >= len(head) {
			want = len(head) + int(head[1])<<16 + int(head[2])<<8 + int(head[3])
		}
		if want > MaxHello-recordHead {
			return nil, false, badHello("it has %d bytes: the limit is %d, with its records' headers", want, MaxHello)
		}
		b = rest
	}
	for len(message) < want { // only now: it may have come byte by byte
		piece, rest, _ := cutRecord(seen)
		message, seen = append(message, piece...), rest
	}
	return message[len(head):want], true, nil
}

// cutRecord returns what is there of the first record, which may be nothing, and
// what is after it.
func cutRecord(b []byte) (piece, rest []byte, err error) {
	if len(b) > 0 && b[0] != recordHandshake {
		return nil, nil, badHello("a record of type %d is in the midst of it", b[0])
	}
	if len(b) < recordHead {
		return nil, nil, nil
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n == 0 || n > recordMax {
		return nil, nil, badHello("a record of it has %d bytes, not 1 to %d", n, recordMax)
	}
	end := min(len(b), recordHead+n)
	return b[recordHead:end], b[end:], nil
}

// tooLong is the answer when there is not enough: there is more to come, or there
// was too much.
func tooLong(seen []byte) ([]byte, bool, error) {
	if len(seen) < MaxHello {
		return nil, false, nil
	}
	return nil, false, badHello("it does not end within %d bytes", MaxHello)
}

// take takes what the message says.
func (h *Hello) take(message []byte) error {
	r := reader{b: message}
	r.take(2 + 32) // version, random
	r.vector8()    // session
	r.vector16()   // ciphers
	r.vector8()    // compressions
	if r.short {
		return badHello("it ends before its extensions")
	}
	if len(r.b) == 0 {
		return nil // it has none
	}
	extensions := reader{b: r.vector16()}
	if r.short || len(r.b) > 0 {
		return badHello("the length of its extensions is not what is left of it")
	}
	var had []uint16
	for len(extensions.b) > 0 {
		t, v := extensions.uint16(), extensions.vector16()
		if extensions.short {
			return badHello("its extensions end in the midst of one")
		}
		if slices.Contains(had, t) {
			return badHello("its extension %d is there twice", t)
		}
		if had = append(had, t); len(had) > maxExtensions {
			return badHello("it has more than %d extensions", maxExtensions)
		}
		if err := h.takeExtension(t, v); err != nil {
			return err
		}
	}
	return nil
}

// maxExtensions bounds the time that looking for doubles takes.
const maxExtensions = 256

func (h *Hello) takeExtension(t uint16, v []byte) (err error) {
	switch t {
	case extensionSNI:
		h.ServerName, err = parseSNI(v)
	case extensionALPN:
		h.ALPN, err = parseALPN(v)
	case extensionECH:
		h.ECH = true
	}
	return err
}

func parseSNI(v []byte) (string, error) {
	r := reader{b: v}
	list := reader{b: r.vector16()}
	if r.short || len(r.b) > 0 || len(list.b) == 0 {
		return "", badHello("its server name extension is not a list of names")
	}
	host := ""
	for len(list.b) > 0 {
		kind, name := list.uint8(), list.vector16()
		switch {
		case list.short:
			return "", badHello("its list of server names ends in the midst of one")
		case kind != nameHost:
		case host != "":
			return "", badHello("it names two servers: %.60q and %.60q", host, name)
		case !isName(name):
			return "", badHello("it names a server %.60q, which is no host name", name)
		default:
			host = string(name)
		}
	}
	return canonicalName(host), nil
}

// isName reports whether b could be a host name, of whatever sort. It is to be
// shown and compared, and it is for the server to know it.
func isName(b []byte) bool {
	printable := !slices.ContainsFunc(b, func(c byte) bool { return c <= ' ' || c >= 0x7f })
	return printable && 0 < len(b) && len(b) <= maxName && string(b) != "."
}

// canonicalName is what names are compared by.
func canonicalName(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func parseALPN(v []byte) ([]string, error) {
	r := reader{b: v}
	list := reader{b: r.vector16()}
	if r.short || len(r.b) > 0 || len(list.b) == 0 {
		return nil, badHello("its ALPN extension is not a list of protocols")
	}
	var protocols []string
	for len(list.b) > 0 {
		p := list.vector8()
		if list.short || len(p) == 0 {
			return nil, badHello("its list of protocols (ALPN) has an empty one, or ends in the midst of one")
		}
		protocols = append(protocols, string(p))
	}
	return protocols, nil
}

// A reader cuts a message into its parts. After a part that is not all there it
// is short, and returns nothing more.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uint8() (n uint8) {
	if b := r.take(1); b != nil {
		n = b[0]
	}
	return n
}

func (r *reader) uint16() (n uint16) {
	if b := r.take(2); b != nil {
		n = binary.BigEndian.Uint16(b)
	}
	return n
}

// vector8 and vector16 return what a length of 8 or 16 bits is before.

func (r *reader) vector8() []byte  { return r.take(int(r.uint8())) }
func (r *reader) vector16() []byte { return r.take(int(r.uint16())) }
