package preface

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// fuzzed is how much of a stream is tried: every split of a longer one takes too
// long.
const fuzzed = MaxProxy + 100

// Whatever a connection begins with: the answer does not depend on how it was cut;
// a header that is understood is understood again when it is written; and another
// implementation does not understand another one.
func FuzzParseProxy(f *testing.F) {
	f.Add([]byte(tcp1 + "x"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("PROXY TCP6 ::ffff:1.2.3.4 ::1 0 65535\r\n"))
	f.Add([]byte(v2(0x21, 0x11, ends4+"\x02\x00\x01a\x03\x00\x04abcd")))
	f.Add([]byte(v2(0x21, 0x31, strings.Repeat("x", 216))))
	f.Add([]byte(v2(0x20, 0, "")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		stream = stream[:min(len(stream), fuzzed)]
		h, done, err := everySplit(t, stream, parseProxy)
		if done && err != nil || !done && !reflect.DeepEqual(h, parsed{}) {
			t.Fatalf("%+v, done %v, %v", h, done, err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), unprintable) {
			t.Errorf("the error is %q", err)
		}
		if !done {
			return
		}
		if h.n <= 0 || h.n > len(stream) || h.n > MaxProxy {
			t.Fatalf("%d bytes of %d", h.n, len(stream))
		}
		checkAgain(t, h.Header)
		checkOther(t, h, stream)
	})
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }

// checkAgain writes h in both versions, and wants to read it again.
func checkAgain(t *testing.T, h Header) {
	t.Helper()
	two, err := h.Append(nil, 2)
	if err != nil {
		t.Fatalf("%+v is not written: %v", h, err)
	}
	want := h
	want.Version, want.Local = 2, !h.ip()
	want.Datagram = h.Datagram && !want.Local
	want.Unix, want.SourcePath, want.DestinationPath = false, "", ""
	again, n, done, err := ParseProxy(two)
	if n != len(two) || !done || err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%+v\nbecomes %+v, %d of %d, %v", want, again, n, len(two), err)
	}
	one, err := h.Append(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, n, done, err = ParseProxy(one)
	if n != len(one) || !done || err != nil {
		t.Fatalf("%q is not read again: %v", one, err)
	}
	if h.ip() && !h.Datagram && (again.Source != h.Source || again.Destination != h.Destination) {
		t.Fatalf("%q becomes %+v, of %+v", one, again, h)
	}
}

// checkOther wants another implementation to say the same of the addresses, where
// it says anything: it refuses some of what the specification has.
func checkOther(t *testing.T, h parsed, stream []byte) {
	t.Helper()
	theirs, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(stream), MaxProxy+16))
	if err != nil || h.Local || !h.ip() {
		return
	}
	src, dst := theirEnd(theirs.SourceAddr), theirEnd(theirs.DestinationAddr)
	if src != h.Source || dst != h.Destination {
		t.Fatalf("%+v, and another has %v, %v", h, src, dst)
	}
}

func theirEnd(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// Whatever a connection begins with: the answer does not depend on how it was cut,
// and where crypto/tls sees a ClientHello it is the same one.
func FuzzParseHello(f *testing.F) {
	f.Add([]byte(record(message(sni("a.example"), extension(extensionALPN, v16("\x02h2\x08http/1.1"))))))
	f.Add([]byte(records(message(sni("a.example"), extension(extensionECH, "\x00")), 7)))
	f.Add([]byte(record("\x01\x00\x00\x29" + "\x03\x00" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x00\x05" + "\x01\x00")))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte("\x80\x2e\x01\x03\x01"))
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		stream = stream[:min(len(stream), fuzzed)]
		h, done, err := everySplit(t, stream, ParseHello)
		if done && err != nil || !done && !reflect.DeepEqual(h, Hello{}) {
			t.Fatalf("%+v, done %v, %v", h, done, err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), unprintable) {
			t.Errorf("the error is %q", err)
		}
		if h.ServerName != canonicalName(h.ServerName) || strings.ContainsFunc(h.ServerName, unprintable) {
			t.Errorf("the name is %q", h.ServerName)
		}
		theirs := serverSees(stream)
		if theirs == nil {
			return
		}
		switch {
		case err != nil && !stricter(err):
			t.Fatalf("%v, and crypto/tls has %+v", err, theirs)
		case err == nil && !done:
			t.Fatalf("it is not whole, and crypto/tls has %+v", theirs)
		case done && (h.ServerName != canonicalName(theirs.ServerName) || !slices.Equal(h.ALPN, theirs.SupportedProtos)):
			t.Fatalf("%+v, and crypto/tls has %q, %q", h, theirs.ServerName, theirs.SupportedProtos)
		}
	})
}

// stricter reports whether an error is for what crypto/tls lets pass.
func stricter(err error) bool {
	for _, why := range []string{"no host name", "more than 256 extensions", "not TLS", "a record of it has"} {
		if strings.Contains(err.Error(), why) {
			return true
		}
	}
	return false
}
