package preface

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A script is a net.Conn with what the peer sends, whole, and a place for what it
// is sent.
type script struct {
	io.Reader
	bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// clientHello is what a client of crypto/tls begins with.
func clientHello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	s := &script{Reader: strings.NewReader("")}
	tls.Client(s, c).Handshake()
	if s.Len() == 0 {
		t.Fatal("the client has sent nothing")
	}
	return s.Bytes()
}

// serverSees is what a server of crypto/tls takes a ClientHello for; nil if it
// refuses it.
func serverSees(hello []byte) (info *tls.ClientHelloInfo) {
	stop := errors.New("seen")
	s := &script{Reader: bytes.NewReader(hello)}
	tls.Server(s, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, stop
	}}).Handshake()
	return info
}

// A message makes a ClientHello by hand, of extensions.
func message(extensions ...string) string {
	all := strings.Join(extensions, "")
	body := "\x03\x03" + strings.Repeat("r", 32) + // version, random
		"\x00" + "\x00\x02\x13\x01" + "\x01\x00" + // session, ciphers, compressions
		v16(all)
	return "\x01" + string([]byte{byte(len(body) >> 16)}) + v16(body)
}

// v16 is a text with its length before it, in two bytes.
func v16(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }

func extension(t uint16, v string) string {
	return string(binary.BigEndian.AppendUint16(nil, t)) + v16(v)
}

func sni(name string) string { return extension(extensionSNI, v16("\x00"+v16(name))) }

// records puts a message into records of n bytes.
func records(message string, n int) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(message), n) {
		b.WriteString("\x16\x03\x01" + v16(string(chunk)))
	}
	return b.String()
}

func record(message string) string { return records(message, recordMax) }

func TestParseHello(t *testing.T) {
	grease := extension(0x2a2a, "") + extension(0xfafa, "\x00")
	sixty := func() (all string) { // a ClientHello of 20 KiB
		for i := range uint16(60) {
			all += extension(0x8000+i, strings.Repeat("x", 340))
		}
		return all
	}()
	for name, test := range map[string]struct {
		in   string
		want Hello
	}{
		"crypto/tls":          {string(clientHello(t, &tls.Config{ServerName: "Example.COM", NextProtos: []string{"h2", "http/1.1"}})), Hello{ServerName: "example.com", ALPN: []string{"h2", "http/1.1"}}},
		"no name":             {string(clientHello(t, &tls.Config{InsecureSkipVerify: true})), Hello{}},
		"TLS 1.2":             {string(clientHello(t, &tls.Config{ServerName: "a.b", MaxVersion: tls.VersionTLS12})), Hello{ServerName: "a.b"}},
		"ECH":                 {string(clientHello(t, echConfig(t, "outer.example"))), Hello{ServerName: "outer.example", ECH: true}},
		"no extensions":       {record("\x01\x00\x00\x29" + "\x03\x00" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x00\x05" + "\x01\x00"), Hello{}},
		"empty extensions":    {record(message()), Hello{}},
		"a final dot":         {record(message(sni("Example.com."))), Hello{ServerName: "example.com"}},
		"an address":          {record(message(sni("192.0.2.1"))), Hello{ServerName: "192.0.2.1"}},
		"another sort":        {record(message(extension(extensionSNI, v16("\x07"+v16("?")+"\x00"+v16("a"))))), Hello{ServerName: "a"}},
		"GREASE":              {record(message(grease, sni("a"), extension(extensionALPN, v16("\x02\x3a\x3a\x02h2")))), Hello{ServerName: "a", ALPN: []string{"\x3a\x3a", "h2"}}},
		"fragments of 1":      {records(message(sni("a.example"), grease), 1), Hello{ServerName: "a.example"}},
		"fragments of 3":      {records(message(sni("a.example"), grease), 3), Hello{ServerName: "a.example"}},
		"20 KiB":              {record(message(sixty, sni("a"))), Hello{ServerName: "a"}},
		"more in the record":  {record(message(sni("a")) + "\x0b\x00\x00\x00"), Hello{ServerName: "a"}},
		"an unknown version":  {"\x16\x03\x09" + record(message(sni("a")))[3:], Hello{ServerName: "a"}},
		"early data after it": {record(message(sni("a"))) + "\x17\x03\x03\x00\x05early", Hello{ServerName: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, done, err := everySplit(t, []byte(test.in+"more"), ParseHello)
			if !done || err != nil {
				t.Fatalf("done %v, %v", done, err)
			}
			if h.ServerName != test.want.ServerName || !slices.Equal(h.ALPN, test.want.ALPN) || h.ECH != test.want.ECH {
				t.Errorf("it is %+v, want %+v", h, test.want)
			}
		})
	}
}

// echConfig is a client's that encrypts its ClientHello to a host behind outer.
func echConfig(t *testing.T, outer string) *tls.Config {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := "\x01" + // its id
		"\x00\x20" + v16(string(key.PublicKey().Bytes())) + // X25519
		v16("\x00\x01\x00\x01") + // HKDF-SHA256, AES-128-GCM
		"\x20" + string([]byte{byte(len(outer))}) + outer + v16("")
	return &tls.Config{ServerName: "secret.example", EncryptedClientHelloConfigList: []byte(v16("\xfe\x0d" + v16(config)))}
}

func TestParseHelloRefuses(t *testing.T) {
	for name, test := range map[string]struct{ in, why string }{
		"another message":    {record("\x02\x00\x00\x00"), "begins with another message of TLS, of type 2"},
		"an empty record":    {"\x16\x03\x01\x00\x00", "a record of it has 0 bytes, not 1 to 16384"},
		"too long a record":  {"\x16\x03\x01\x40\x01", "a record of it has 16385 bytes"},
		"another record":     {records(message(sni("a")), 30)[:35] + "\x17\x03\x03\x00\x01x", "a record of type 23 is in the midst of it"},
		"too long":           {record("\x01\x00\x7f\xf8"), "it has 32764 bytes: the limit is 32768, with its records' headers"},
		"too many records":   {records(message(extension(1, strings.Repeat("x", 6000))), 1), "it does not end within 32768 bytes"},
		"cut":                {record("\x01\x00\x00\x05\x03\x03rrr"), "it ends before its extensions"},
		"extensions too few": {record("\x01\x00\x00\x2d" + message()[4:45] + "\x00\x03\x00\x00"), "not what is left of it"},
		"more after them":    {record("\x01\x00\x00\x2c" + message()[4:] + "x"), "not what is left of it"},
		"half an extension":  {record(message("\x00\x00\x00")), "its extensions end in the midst of one"},
		"twice":              {record(message(sni("a"), sni("a"))), "its extension 0 is there twice"},
		"two names":          {record(message(extension(0, v16("\x00"+v16("a")+"\x00"+v16("b"))))), `it names two servers: "a" and "b"`},
		"no names":           {record(message(extension(0, v16("")))), "not a list of names"},
		"more than a list":   {record(message(extension(0, v16("\x00"+v16("a"))+"x"))), "not a list of names"},
		"half a name":        {record(message(extension(0, v16("\x00\x00\x05abc")))), "ends in the midst of one"},
		"an empty name":      {record(message(sni(""))), `it names a server "", which is no host name`},
		"a dot":              {record(message(sni("."))), `it names a server ".", which`},
		"a blank":            {record(message(sni("a b"))), `a server "a b", which is no host name`},
		"NUL":                {record(message(sni("a\x00b"))), `a server "a\x00b", which is no host name`},
		"not ASCII":          {record(message(sni("münchen.example"))), "which is no host name"},
		"long":               {record(message(sni(strings.Repeat("x", 256)))), "which is no host name"},
		"an empty protocol":  {record(message(extension(extensionALPN, v16("\x00")))), "an empty one"},
		"no protocols":       {record(message(extension(extensionALPN, v16("")))), "not a list of protocols"},
		"half a protocol":    {record(message(extension(extensionALPN, v16("\x05h2")))), "ends in the midst of one"},
		"257 extensions": {record(message(func() (all string) {
			for i := range uint16(257) {
				all += extension(i+100, "")
			}
			return all
		}())), "more than 256 extensions"},
	} {
		t.Run(name, func(t *testing.T) {
			_, done, err := everySplit(t, []byte(test.in+"more"), ParseHello)
			var bad *Error
			if done || !errors.As(err, &bad) || bad.Part != ClientHello || !strings.Contains(bad.Why, test.why) {
				t.Errorf("done %v, %v; want %q", done, err, test.why)
			}
		})
	}
}

func TestNotTLS(t *testing.T) {
	for in, what := range map[string]string{
		"GET / HTTP/1.1\r\n":           "HTTP without TLS",
		"PUT /":                        "HTTP without TLS",
		"CONNECT a:443 HTTP/1.1":       "HTTP without TLS, to a proxy",
		"PRI * HTTP/2.0\r\n":           "HTTP/2 without TLS",
		"SSH-2.0-OpenSSH":              "SSH",
		tcp1:                           "a PROXY header",
		v2(0x20, 0, ""):                "a PROXY header",
		"\x80\x2e\x01\x00\x02":         "SSL 2.0, which is too old to name a server",
		"\x80\x2e\x04":                 "binary data",
		"\x16\x02\x00":                 "binary data",
		"\x15\x03\x01\x00\x02\x02\x28": "an alert of TLS",
		"EHLO mail\r\n":                "text",
		"GE":                           "",
		"GEN":                          "text",
		"\r\n":                         "",
		"\r\n\r\nx":                    "text",
		"\x00":                         "binary data",
	} {
		_, done, err := everySplit(t, []byte(in), ParseHello)
		var other *NotTLSError
		switch errors.As(err, &other); {
		case what == "" && (done || err != nil), done:
			t.Errorf("%q: done %v, %v; nothing is known yet", in, done, err)
		case what != "" && (other == nil || other.What != what):
			t.Errorf("%q: %v, want %q", in, err, what)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		m    Match
		h    Hello
		fits bool
	}{
		{Match{}, Hello{}, true},
		{Match{}, Hello{ServerName: "a"}, true},
		{Match{SNI: []string{"a.example"}}, Hello{ServerName: "a.example"}, true},
		{Match{SNI: []string{"A.Example."}}, Hello{ServerName: "a.example"}, true},
		{Match{SNI: []string{"a.example"}}, Hello{ServerName: "b.a.example"}, false},
		{Match{SNI: []string{"a.example"}}, Hello{}, false},
		{Match{SNI: []string{"x", "*.Example"}}, Hello{ServerName: "a.example"}, true},
		{Match{SNI: []string{"*.example"}}, Hello{ServerName: "a.b.example"}, true},
		{Match{SNI: []string{"*.example"}}, Hello{ServerName: "example"}, false},
		{Match{SNI: []string{"*.example"}}, Hello{ServerName: ".example"}, false},
		{Match{SNI: []string{"*.example"}}, Hello{ServerName: "anexample"}, false},
		{Match{SNI: []string{"*"}}, Hello{ServerName: "a"}, true},
		{Match{SNI: []string{"*"}}, Hello{}, false},
		{Match{ALPN: []string{"h2", "x"}}, Hello{ALPN: []string{"http/1.1", "h2"}}, true},
		{Match{ALPN: []string{"H2"}}, Hello{ALPN: []string{"h2"}}, false},
		{Match{ALPN: []string{"h2"}}, Hello{}, false},
		{Match{SNI: []string{"a"}, ALPN: []string{"h2"}}, Hello{ServerName: "a"}, false},
		{Match{SNI: []string{"a"}, ALPN: []string{"h2"}}, Hello{ServerName: "b", ALPN: []string{"h2"}}, false},
	} {
		if got := test.m.Fits(test.h); got != test.fits {
			t.Errorf("%+v fits %+v: %v", test.m, test.h, got)
		}
		if err := test.m.Check(); err != nil {
			t.Errorf("%+v: %v", test.m, err)
		}
	}
}

func TestMatchCheck(t *testing.T) {
	for pattern, why := range map[string]string{
		"":                       "an empty label",
		"a..b":                   "an empty label",
		".example":               "an empty label",
		"a.*.b":                  "not all of its first label",
		"*a.example":             "not all of its first label",
		"*.*.example":            "not all of its first label",
		"münchen.example":        "its xn-- form",
		"https://a.example":      `has a ':'`,
		"a.example:443":          `has a ':'`,
		strings.Repeat("x", 256): "has 256 bytes",
	} {
		if err := (Match{SNI: []string{pattern}}).Check(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", pattern, err, why)
		}
	}
	if err := (Match{ALPN: []string{""}}).Check(); err == nil {
		t.Error("an empty protocol is no mistake")
	}
}
