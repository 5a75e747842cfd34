package socket

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever is parsed prints as what parses to the same again, and nothing that
// a terminal would act on ever leaves the parser, in an address or in an error.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"127.0.0.1:7000", "[::1]:80", "[fe80::1%eth0]:80", ":0", "::1:80", "tpc://x:1", "tls://x:1", "tls://x:1?min=1.3&alpn=h2&alpn=http/1.1",
		"unix:///a%3Fb?mode=0600", "unix://@n", "/x?mod=1", "echo:", "echo", "\x1b[0m",
		"fd://3", "systemd://a", "stdio:", "/s?owner=a:b", "exec:///bin/sh?arg=-c&arg=%26&grace=1s",
		"h:1?keepalive=1s/2s/3&bind=[::1]:5&rcvbuf=64KiB&mark=0x7&user_timeout=90m",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			checkPrintable(t, "the error", err.Error())
			if a != (Address{}) {
				t.Errorf("%q is an error, and also %+v", text, a)
			}
			return
		}
		checkPrintable(t, "the address", a.String())
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q becomes %q, which is %+v, %v", text, a.String(), again, err)
		}
	})
}

// checkPrintable wants s to be what a terminal shows and does not obey. Bytes
// that are not UTF-8 count: 0x9b alone begins a control sequence.
func checkPrintable(t *testing.T, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		t.Errorf("%s has unprintable bytes: %q", what, s)
	}
}
