package preface

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"unicode/utf8"
)

// TLVs are a type, a length in two bytes, and a value.
const tlvHead = 3

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// takeTLVs takes what follows the addresses of a header, from at on, and checks
// what can be checked. The values are copies.
func (h *Header) takeTLVs(header []byte, at int) error {
	for at < len(header) {
		t, v, err := cutTLV(header[at:])
		if err != nil {
			return err
		}
		if err := h.take(t, v, header, at+tlvHead); err != nil {
			return err
		}
		at += tlvHead + len(v)
	}
	return nil
}

// cutTLV returns the first one of b.
func cutTLV(b []byte) (TLVType, []byte, error) {
	if len(b) < tlvHead {
		return 0, nil, badProxy("its length leaves %d bytes for a TLV, which has %d at least", len(b), tlvHead)
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > len(b)-tlvHead {
		return 0, nil, badProxy("a TLV of type %#02x says that it has %d bytes: %d are left", b[0], n, len(b)-tlvHead)
	}
	return TLVType(b[0]), b[tlvHead : tlvHead+n], nil
}

// take takes a TLV whose value begins at a byte of the header.
func (h *Header) take(t TLVType, v, header []byte, at int) error {
	switch t {
	case typeNoOp:
		return nil
	case typeCRC32C:
		if len(v) != 4 {
			return badProxy("its checksum has %d bytes, not 4", len(v))
		}
		sum := crc32.Update(0, castagnoli, header[:at])
		sum = crc32.Update(sum, castagnoli, make([]byte, 4))
		sum = crc32.Update(sum, castagnoli, header[at+4:])
		if said := binary.BigEndian.Uint32(v); said != sum {
			return badProxy("its checksum is %08x, and that of its bytes %08x: they were changed on the way", said, sum)
		}
		h.Checksum = true
		return nil
	case TypeAuthority:
		if !utf8.Valid(v) {
			return badProxy("its host name is not UTF-8: %.60q", v)
		}
	case TypeUniqueID:
		if len(v) > maxUniqueID {
			return badProxy("its unique id has %d bytes: the limit is %d", len(v), maxUniqueID)
		}
	case TypeSSL:
		if _, err := parseSSL(v); err != nil {
			return err
		}
	}
	h.TLVs = append(h.TLVs, TLV{t, append([]byte{}, v...)})
	return nil
}

const maxUniqueID = 128

// An SSL is what a proxy that has ended TLS says about it.
type SSL struct {
	TLS bool // the client has connected with TLS
	// The client has shown a certificate on this connection, or on one of the
	// session that it resumes.
	CertConn, CertSession bool
	// Verify is 0 if that certificate was found good, and otherwise what the
	// proxy says; also if there was none. Some proxies say 0 then, too: look at
	// CertSession first.
	Verify uint32
	// As the proxy calls them; "" for what it does not say. CN is the common
	// name of the certificate.
	Version, CN, Cipher, SigAlg, KeyAlg string
}

// The bits and the TLVs in an SSL.
const (
	sslTLS         = 1
	sslCertConn    = 2
	sslCertSession = 4
	sslHead        = 1 + 4
	sslVersion     = 0x21
	sslCN          = 0x22
	sslCipher      = 0x23
	sslSigAlg      = 0x24
	sslKeyAlg      = 0x25
)

// text returns where the TLV of a type is kept, or nil.
func (s *SSL) text(t TLVType) *string {
	switch t {
	case sslVersion:
		return &s.Version
	case sslCN:
		return &s.CN
	case sslCipher:
		return &s.Cipher
	case sslSigAlg:
		return &s.SigAlg
	case sslKeyAlg:
		return &s.KeyAlg
	}
	return nil
}

// SSL returns what the header says about TLS.
func (h *Header) SSL() (SSL, bool) {
	v, ok := h.Value(TypeSSL)
	if !ok {
		return SSL{}, false
	}
	s, err := parseSSL(v)
	return s, err == nil
}

func parseSSL(v []byte) (s SSL, err error) {
	if len(v) < sslHead {
		return s, badProxy("its TLV about TLS has %d bytes, and needs %d", len(v), sslHead)
	}
	s.TLS, s.CertConn, s.CertSession = v[0]&sslTLS != 0, v[0]&sslCertConn != 0, v[0]&sslCertSession != 0
	s.Verify = binary.BigEndian.Uint32(v[1:])
	for v = v[sslHead:]; len(v) > 0; {
		t, text, err := cutTLV(v)
		if err != nil {
			return s, err
		}
		if to := s.text(t); to != nil {
			*to = string(bytes.ToValidUTF8(text, []byte("\uFFFD")))
		}
		v = v[tlvHead+len(text):]
	}
	return s, nil
}

// SetSSL makes s what the header says about TLS.
func (h *Header) SetSSL(s SSL) {
	v := make([]byte, sslHead)
	for _, bit := range []struct {
		on  bool
		bit byte
	}{{s.TLS, sslTLS}, {s.CertConn, sslCertConn}, {s.CertSession, sslCertSession}} {
		if bit.on {
			v[0] |= bit.bit
		}
	}
	binary.BigEndian.PutUint32(v[1:], s.Verify)
	for t := TLVType(sslVersion); t <= sslKeyAlg; t++ {
		if text := *s.text(t); text != "" {
			v = appendTLV(v, t, []byte(text))
		}
	}
	h.Set(TypeSSL, v)
}

// appendTLV appends one whose length fits.
func appendTLV(b []byte, t TLVType, v []byte) []byte {
	b = append(b, byte(t), byte(len(v)>>8), byte(len(v)))
	return append(b, v...)
}
