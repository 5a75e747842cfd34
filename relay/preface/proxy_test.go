package preface

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// everySplit parses a stream as it would come byte by byte, and wants the first
// answer to be the answer to every longer beginning of it: however the bytes are
// cut, a parser says the same.
func everySplit[T any](t *testing.T, stream []byte, parse func(seen []byte) (T, bool, error)) (result T, done bool, err error) {
	t.Helper()
	decided := -1
	for n := range len(stream) + 1 {
		seen := stream[:n:n] // what is read beyond it panics
		r, d, e := parse(seen)
		if decided < 0 {
			if result, done, err = r, d, e; d || e != nil {
				decided = n
			}
			continue
		}
		if !reflect.DeepEqual(r, result) || d != done || !sameError(e, err) {
			t.Fatalf("of %d bytes %+v, %v, %v;\nof %d bytes %+v, %v, %v", decided, result, done, err, n, r, d, e)
		}
	}
	return result, done, err
}

func sameError(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

type parsed struct {
	Header
	n int
}

func parseProxy(seen []byte) (parsed, bool, error) {
	h, n, done, err := ParseProxy(seen)
	return parsed{h, n}, done, err
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// tcp1 is a header of version 1.
const tcp1 = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"

// v2 makes a header of version 2.
func v2(command, family byte, rest string) string {
	n := len(rest)
	return signature2 + string([]byte{command, family, byte(n >> 8), byte(n)}) + rest
}

const ends4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"

func TestParseProxy(t *testing.T) {
	src, dst := addrPort("192.0.2.1:56324"), addrPort("198.51.100.2:443")
	src6, dst6 := addrPort("[2001:db8::1]:1"), addrPort("[::1]:65535")
	ends6 := string(append(src6.Addr().AsSlice(), dst6.Addr().AsSlice()...)) + "\x00\x01\xff\xff"
	mapped := string(append(netip.MustParseAddr("::ffff:192.0.2.1").AsSlice(), dst6.Addr().AsSlice()...)) + "\xdc\x04\xff\xff"
	unix := "/run/a" + strings.Repeat("\x00", 102) + "\x00name" + strings.Repeat("\x00", 103)
	for name, test := range map[string]struct {
		in   string
		want Header
	}{
		"TCP4":             {tcp1, Header{Version: 1, Source: src, Destination: dst}},
		"TCP6":             {"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Header{Version: 1, Source: src6, Destination: dst6}},
		"TCP6 with IPv4":   {"PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 65535\r\n", Header{Version: 1, Source: src, Destination: dst6}},
		"port 0":           {"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", Header{Version: 1, Source: addrPort("1.2.3.4:0"), Destination: addrPort("5.6.7.8:0")}},
		"UNKNOWN":          {"PROXY UNKNOWN\r\n", Header{Version: 1}},
		"UNKNOWN and more": {"PROXY UNKNOWN \xff what so ever 77777\r\n", Header{Version: 1}},
		"UNKNOWN, 107": {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			Header{Version: 1}},

		"v2 IPv4":           {v2(0x21, 0x11, ends4), Header{Version: 2, Source: src, Destination: dst}},
		"v2 IPv6":           {v2(0x21, 0x21, ends6), Header{Version: 2, Source: src6, Destination: dst6}},
		"v2 IPv6 with IPv4": {v2(0x21, 0x21, mapped), Header{Version: 2, Source: src, Destination: dst6}},
		"v2 datagram":       {v2(0x21, 0x12, ends4), Header{Version: 2, Datagram: true, Source: src, Destination: dst}},
		"v2 unix":           {v2(0x21, 0x31, unix), Header{Version: 2, Unix: true, SourcePath: "/run/a", DestinationPath: "@name"}},
		"v2 unix, full":     {v2(0x21, 0x31, strings.Repeat("a", 216)), Header{Version: 2, Unix: true, SourcePath: strings.Repeat("a", 108), DestinationPath: strings.Repeat("a", 108)}},
		"v2 unix, unnamed":  {v2(0x21, 0x31, strings.Repeat("\x00", 216)), Header{Version: 2, Unix: true}},
		"v2 unspec":         {v2(0x21, 0x00, ""), Header{Version: 2}},
		"v2 unspec, TLV":    {v2(0x21, 0x00, "\x02\x00\x01x"), Header{Version: 2, TLVs: []TLV{{TypeAuthority, []byte("x")}}}},
		"v2 local":          {v2(0x20, 0x00, ""), Header{Version: 2, Local: true}},
		"v2 local, all":     {v2(0x20, 0x77, "anything at all"), Header{Version: 2, Local: true}},
		"v2 local, TLV":     {v2(0x20, 0x00, "\x02\x00\x01x"), Header{Version: 2, Local: true, TLVs: []TLV{{TypeAuthority, []byte("x")}}}},
		"v2 local, no TLV":  {v2(0x20, 0x00, "\x02\x00\x01x\x05"), Header{Version: 2, Local: true}},
		"v2 TLVs": {v2(0x21, 0x11, ends4+"\x01\x00\x02h2"+"\x04\x00\x03pad"+"\xe0\x00\x00"+"\x05\x00\x02id"),
			Header{Version: 2, Source: src, Destination: dst, TLVs: []TLV{{TypeALPN, []byte("h2")}, {0xe0, []byte{}}, {TypeUniqueID, []byte("id")}}}},
		"v2 checksum": {v2(0x21, 0x00, "\x03\x00\x04\x3e\xc9\x89\x4e"), Header{Version: 2, Checksum: true}},
		"v2 longest":  {v2(0x21, 0x00, "\xe0\x0f\xed"+strings.Repeat("x", 4077)), Header{Version: 2, TLVs: []TLV{{0xe0, bytes.Repeat([]byte("x"), 4077)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h, done, err := everySplit(t, []byte(test.in+"GET / and the stream\r\n"), parseProxy)
			if !done || err != nil {
				t.Fatalf("done %v, %v", done, err)
			}
			if h.n != len(test.in) || !reflect.DeepEqual(h.Header, test.want) {
				t.Errorf("%d bytes are %+v,\nwant %d, %+v", h.n, h.Header, len(test.in), test.want)
			}
			if _, _, done, err := ParseProxy([]byte(test.in[:len(test.in)-1])); done || err != nil {
				t.Errorf("without its last byte: done %v, %v", done, err)
			}
		})
	}
}

// Lies, and what is said of them.
func TestParseProxyRefuses(t *testing.T) {
	for name, test := range map[string]struct{ in, why string }{
		"nothing like it":    {"GET / HTTP/1.1\r\n", "missing: the source is trusted to send one"},
		"TLS":                {"\x16\x03\x01\x02\x00", "missing"},
		"in lower case":      {"proxy tcp4", "missing"},
		"PROXYX":             {"PROXYX TCP4", "missing"},
		"half a signature 2": {"\r\n\r\nGET", "missing"},

		"no protocol":        {"PROXY \r\n", `its protocol is "", not TCP4, TCP6 or UNKNOWN`},
		"UDP4":               {"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", `its protocol is "UDP4"`},
		"lower case":         {"PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n", `its protocol is "tcp4"`},
		"control characters": {"PROXY \x1b[2J\r\n", `its protocol is "\x1b[2J"`},
		"not ASCII":          {"PROXY TCP4 1.2.3.٤ 1.2.3.4 1 1\r\n", "is not an IP address"},
		"no end":             {"PROXY UNKNOWN " + strings.Repeat("x", 94), "does not end within 107 bytes"},
		"an end too late":    {"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "does not end within 107 bytes"},
		"LF alone":           {"PROXY UNKNOWN\n", "a line feed alone"},
		"three fields":       {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "followed by 3 fields"},
		"five fields":        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "followed by 5 fields"},
		"two spaces":         {"PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n", "with one space between them"},
		"a tab":              {"PROXY TCP4\t1.2.3.4 1.2.3.4 1 1\r\n", `its protocol is "TCP4\t1.2.3.4"`},
		"CR in it":           {"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\r\n", "is not a number"},
		"port 65536":         {"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", `its source port "65536" is not a number from 0 to 65535`},
		"leading zeros":      {"PROXY TCP4 1.2.3.4 1.2.3.4 1 080\r\n", `its destination port "080" is not a number from 0 to 65535 without leading zeros`},
		"negative port":      {"PROXY TCP4 1.2.3.4 1.2.3.4 -1 80\r\n", `its source port "-1"`},
		"plus":               {"PROXY TCP4 1.2.3.4 1.2.3.4 +1 80\r\n", `its source port "+1"`},
		"IPv6 in TCP4":       {"PROXY TCP4 1.2.3.4 ::1 1 1\r\n", "its destination ::1 is not of the family TCP4"},
		"IPv4 in TCP6":       {"PROXY TCP6 1.2.3.4 ::1 1 1\r\n", "its source 1.2.3.4 is not of the family TCP6"},
		"zeros in octets":    {"PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n", `its source "01.2.3.4" is not an IP address`},
		"a zone":             {"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", `its source "fe80::1%eth0" is not an IP address`},
		"a name":             {"PROXY TCP4 localhost 1.2.3.4 1 1\r\n", `its source "localhost" is not an IP address`},

		"version 1 in 2":  {v2(0x11, 0x11, ends4), "its version is 1"},
		"command 2":       {v2(0x22, 0x11, ends4), "its command is 2, neither LOCAL (0) nor PROXY (1)"},
		"family 4":        {v2(0x21, 0x41, ends4), "its address family is 4"},
		"transport 3":     {v2(0x21, 0x13, ends4), "its transport is 3, which the address family 1 does not have"},
		"unspec stream":   {v2(0x21, 0x01, ""), "its transport is 1, which the address family 0 does not have"},
		"too short":       {v2(0x21, 0x11, ends4[:11]), "its length of 11 is less than the 12 of its IPv4 addresses"},
		"IPv4 as IPv6":    {v2(0x21, 0x21, ends4), "its length of 12 is less than the 36 of its IPv6 addresses"},
		"short unix":      {v2(0x21, 0x31, ends4), "less than the 216 of its Unix addresses"},
		"too long":        {signature2 + "\x21\x11\x0f\xf1", "it has 4097 bytes: the limit is 4096"},
		"local, too long": {signature2 + "\x20\x00\xff\xff", "it has 65551 bytes: the limit is 4096"},
		"half a TLV":      {v2(0x21, 0x11, ends4+"\x02\x00"), "leaves 2 bytes for a TLV"},
		"TLV too long":    {v2(0x21, 0x11, ends4+"\x02\x00\x05abcd"), "a TLV of type 0x02 says that it has 5 bytes: 4 are left"},
		"wrong checksum":  {v2(0x21, 0x00, "\x03\x00\x04abcd"), "its checksum is 61626364, and that of its bytes 3ec9894e: they were changed on the way"},
		"short checksum":  {v2(0x21, 0x00, "\x03\x00\x03abc"), "its checksum has 3 bytes, not 4"},
		"bad authority":   {v2(0x21, 0x00, "\x02\x00\x01\xff"), "its host name is not UTF-8"},
		"unique id too long": {v2(0x21, 0x00, "\x05\x00\x81"+strings.Repeat("x", 129)),
			"its unique id has 129 bytes: the limit is 128"},
		"short SSL":      {v2(0x21, 0x00, "\x20\x00\x02ab"), "its TLV about TLS has 2 bytes, and needs 5"},
		"bad TLV in SSL": {v2(0x21, 0x00, "\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x09"), "a TLV of type 0x21 says that it has 9 bytes: 0 are left"},
	} {
		t.Run(name, func(t *testing.T) {
			h, done, err := everySplit(t, []byte(test.in+"\r\nand more"), parseProxy)
			var bad *Error
			if !errors.As(err, &bad) || bad.Part != Proxy || !strings.Contains(bad.Why, test.why) {
				t.Errorf("it is %+v, %v, %v; want %q", h, done, err, test.why)
			}
			if missing := strings.HasPrefix(test.why, "missing"); missing != (err == error(ErrNoHeader)) {
				t.Errorf("ErrNoHeader is %v", !missing)
			}
		})
	}
}

// What is written is what was meant.
func TestAppend(t *testing.T) {
	src, dst, dst6 := addrPort("192.0.2.1:56324"), addrPort("198.51.100.2:443"), addrPort("[2001:db8::1]:443")
	full := Header{Version: 2, Source: src, Destination: dst, Checksum: true}
	full.Set(TypeAuthority, []byte("example.com"))
	full.Set(TypeALPN, []byte("h2"))
	full.SetSSL(SSL{TLS: true, CertConn: true, Verify: 7, Version: "TLSv1.3", CN: "me", Cipher: "TLS_AES_128_GCM_SHA256", SigAlg: "SHA256", KeyAlg: "RSA2048"})
	full.Set(TypeAuthority, []byte("www.example.com")) // replaces
	for name, test := range map[string]struct {
		h     Header
		one   string
		again Header // what version 2 is parsed as
	}{
		"TCP4": {Header{Source: src, Destination: dst}, tcp1, Header{Version: 2, Source: src, Destination: dst}},
		"both families": {Header{Source: src, Destination: dst6}, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 56324 443\r\n",
			Header{Version: 2, Source: src, Destination: dst6}},
		"a zone": {Header{Source: addrPort("[fe80::1%lo]:1"), Destination: dst6}, "PROXY TCP6 fe80::1 2001:db8::1 1 443\r\n",
			Header{Version: 2, Source: addrPort("[fe80::1]:1"), Destination: dst6}},
		"nothing": {Header{}, "PROXY UNKNOWN\r\n", Header{Version: 2, Local: true}},
		"local":   {Header{Local: true, Source: src, Destination: dst}, "PROXY UNKNOWN\r\n", Header{Version: 2, Local: true}},
		"unix": {Header{Unix: true, SourcePath: "@x", DestinationPath: "/run/s"}, "PROXY UNKNOWN\r\n",
			Header{Version: 2, Local: true}},
		"datagram": {Header{Datagram: true, Source: src, Destination: dst}, "PROXY UNKNOWN\r\n", Header{Version: 2, Datagram: true, Source: src, Destination: dst}},
		"full":     {full, tcp1, full},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := test.h.Append([]byte("before "), 1)
			if string(one) != "before "+test.one || err != nil {
				t.Errorf("version 1 is %q, %v", one, err)
			}
			two, err := test.h.Append([]byte("before "), 2)
			if err != nil {
				t.Fatal(err)
			}
			h, n, done, err := ParseProxy(two[len("before "):])
			if n != len(two)-len("before ") || !done || err != nil || !reflect.DeepEqual(h, test.again) {
				t.Errorf("version 2 is %+v, %d of %d bytes, %v", h, n, len(two), err)
			}
		})
	}
	if s, ok := full.SSL(); !ok || !s.TLS || !s.CertConn || s.CertSession || s.Verify != 7 || s.Version != "TLSv1.3" || s.CN != "me" || s.KeyAlg != "RSA2048" {
		t.Errorf("of TLS it says %+v, %v", s, ok)
	}
	if v, _ := full.Value(TypeAuthority); string(v) != "www.example.com" {
		t.Errorf("the host name is %q", v)
	}
	if full.From() != "192.0.2.1:56324" || full.To() != "198.51.100.2:443" || (&Header{Unix: true, SourcePath: "/x"}).From() != "/x" {
		t.Error("From or To is something else")
	}
}

// What no server would take is not written.
func TestAppendRefuses(t *testing.T) {
	long := Header{TLVs: []TLV{{0xe0, make([]byte, MaxProxy)}}}
	for _, test := range []struct {
		h       Header
		version int
		why     string
	}{
		{long, 2, "it would have 4115 bytes: the limit is 4096"},
		{Header{}, 3, "there is no version 3: use 1 or 2"},
	} {
		b, err := test.h.Append([]byte("before"), test.version)
		if string(b) != "before" || err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%q, %v; want %q", b, err, test.why)
		}
	}
}
