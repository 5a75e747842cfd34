package config

import (
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// scalarTypes are all types that a text is read into, each with a field that has
// bounds.
var scalarTypes = []struct {
	zero any
	f    field
}{
	{Version(0), field{}}, {Duration(0), field{}}, {Duration(0), field{min: 1}}, {Count(0), field{max: 1000}}, {Count(0), field{min: 1, max: 65535}},
	{Auto(0), field{max: 1024}}, {Auto(0), field{max: 1024, words: []string{"auto"}}}, {Rate(0), field{}}, {Percent(0), field{}}, {Size(0), field{}},
	{Bool(false), field{}}, {Level(0), field{}}, {Word(""), field{words: []string{"keep", "fin", "reset"}}}, {Name(""), field{}}, {ServerName(""), field{}},
	{Text(""), field{}}, {Escaped(""), field{}}, {Path(""), field{}}, {ListenAddress{}, field{}}, {DialAddress{}, field{}}, {AdminAddress{}, field{}},
	{Prefix{}, field{}}, {IP{}, field{}}, {Stages{}, field{}},
}

// FuzzScalar gives every type of value any text. What one takes it writes as what
// it takes as the same again, and its schema says that it does; what it does not
// take it says in one line that is safe to print.
func FuzzScalar(f *testing.F) {
	for _, text := range []string{
		"1", "off", "0", "auto", "30s", "1h30m0s", "0.5ms", "5µs", "99999999h", "-1", "+1", "007", "65536", "1e3", "0x10", "0.50", "50%", "100%", "0%",
		"64KiB/s", "10M", "1T", "1025g", "64kib", "true", "warn+2", "debug-4", "keep", "www.example.com", "*.example.com", "*", "/run/x:rw", "/a:b",
		`\x00\n"`, `\`, "127.0.0.1:80", ":7000", "/run/relayd.sock", "none", "tls://h:1?sni=x", "10.0.0.0/8", "::ffff:10.0.0.0/104", "::/0", "fe80::1%eth0",
		"10.0.0.1/8", "gzip:level=9,count", "K", "1K/s", "\x1b[2J", "\xff", "a\nb", "", " 1", "1 ", "٣",
	} {
		for i := range scalarTypes {
			f.Add(uint8(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		s := scalarTypes[int(which)%len(scalarTypes)]
		v, again := reflect.New(reflect.TypeOf(s.zero)), reflect.New(reflect.TypeOf(s.zero))
		x, y := v.Interface().(value), again.Interface().(value)
		if err := x.set(text, &s.f); err != nil {
			checkMessage(t, err.Error())
			return
		}
		written := x.String()
		if err := y.set(written, &s.f); err != nil {
			t.Fatalf("%T takes %q, writes it as %q, and of that says %v", x, text, written, err)
		}
		if y.String() != written {
			t.Fatalf("%T takes %q, and writes it as %q and %q", x, text, written, y.String())
		}
		checkSchemaOf(t, x, &s.f, text)
		checkSchemaOf(t, x, &s.f, written)
	})
}

func checkMessage(t *testing.T, text string) {
	t.Helper()
	bad := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(text) == 0 || len(text) > 64<<10 || !utf8.ValidString(text) || strings.ContainsFunc(text, bad) {
		t.Errorf("the message is %.500q", text)
	}
}

// checkSchemaOf wants the schema to let through what is taken. Numbers that are
// none in YAML are texts.
func checkSchemaOf(t *testing.T, x value, f *field, text string) {
	t.Helper()
	p := x.pattern(f)
	for _, expr := range []string{p.expr, p.also} {
		if expr != "" && !regexp.MustCompile(expr).MatchString(text) {
			t.Errorf("%T takes %q, and its schema %s does not", x, text, expr)
		}
	}
	if len(p.words) > 0 && !strings.Contains("\n"+strings.Join(p.words, "\n")+"\n", "\n"+text+"\n") {
		t.Errorf("%T takes %q, and its schema %q does not", x, text, p.words)
	}
	if p.length > 0 && utf8.RuneCountInString(text) > p.length {
		t.Errorf("%T takes a text of %d", x, len(text))
	}
}

// FuzzPrefix reads networks, and wants those in them that package net has there.
func FuzzPrefix(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "2001:db8::/32", "10.1.2.3", "::ffff:1.2.3.4", "fe80::1%x", "10.0.0.1/8", "::fffe:0:0/95"} {
		f.Add(text, []byte{10, 1, 2, 3})
		f.Add(text, []byte("\x20\x01\x0d\xb8............"))
	}
	f.Fuzz(func(t *testing.T, text string, address []byte) {
		var p Prefix
		if p.set(text, nil) != nil {
			return
		}
		reference := &net.IPNet{IP: net.ParseIP(text)}
		if strings.Contains(text, "/") {
			var err error
			if _, reference, err = net.ParseCIDR(text); err != nil {
				t.Fatalf("%q is taken, and package net says %v", text, err)
			}
		} else if ip4 := reference.IP.To4(); ip4 != nil {
			reference.IP, reference.Mask = ip4, net.CIDRMask(32, 32)
		} else {
			reference.Mask = net.CIDRMask(128, 128)
		}
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			a = firstOf(reference)
		}
		for _, a := range []netip.Addr{a.Unmap(), firstOf(reference).Unmap()} {
			if got, want := p.Contains(a), reference.Contains(a.AsSlice()); got != want {
				t.Errorf("%q has %v: %v, and package net: %v", text, a, got, want)
			}
		}
	})
}

// firstOf is the first address of a network.
func firstOf(n *net.IPNet) netip.Addr {
	a, _ := netip.AddrFromSlice(n.IP)
	return a
}
