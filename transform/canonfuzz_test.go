package transform

import (
	"math/big"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var amountShape = regexp.MustCompile(`^([0-9]+)([kKmMgGtT]([iI][bB])?)?$`)

// Whatever is to be an amount of bytes: it is what is written, in big numbers,
// or none; and it is written as what it is again.
func FuzzAmount(f *testing.F) {
	for _, text := range []string{
		"0", "1500", "64k", "64KiB", "10MiB", "1T", "1048576T", "1152921504606846976", "1152921504606846977", "99999999999999999999", "k", "ib", "1ib", "1kb", "1kk",
		"-1", "+1", "1.5k", "0x10", "1_0", "\u212a", "1\u212a", "1\u212aiB", "1K\u0130B", " 1", "٣", "", "1k\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parseAmount(text)
		want, wanted := new(big.Int), false
		if m := amountShape.FindStringSubmatch(text); m != nil {
			want.SetString(m[1], 10)
			if m[2] != "" {
				want.Lsh(want, uint(10*(1+strings.IndexByte(units, strings.ToLower(m[2])[0]))))
			}
			wanted = want.Cmp(big.NewInt(maxAmount)) <= 0
		}
		if ok != wanted || ok && want.Cmp(big.NewInt(n)) != 0 {
			t.Fatalf("%q is %d, %v; want %v, %v", text, n, ok, want, wanted)
		}
		if !ok {
			return
		}
		if again, ok := parseAmount(amount(n)); !ok || again != n {
			t.Errorf("%q is %d, which is written %q, and that is %d, %v", text, n, amount(n), again, ok)
		}
		if size, ok := parseSize(text); ok != (n <= 1<<30) || ok && int64(size) != n {
			t.Errorf("%q is a size of %d, %v", text, size, ok)
		}
	})
}

// Whatever is a value of whatever option: its canonical form is its own, and the
// error says in a few words what a good one is.
func FuzzCanon(f *testing.F) {
	var options []Option
	for _, def := range table {
		for _, o := range def.Options {
			if o.canon != nil {
				options = append(options, o)
				for _, text := range []string{o.Default, "1", "10s", "64KiB", "0.5", "off", "random", "true", "a%cb%%", "tcp://127.0.0.1:1", "sh -c 'a'", "-0", "1e-400", "NaN", "0x1p-2", "Inf", "\x00", "%", "9ns", "007"} {
					f.Add(uint8(len(options)-1), text)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		o := options[int(which)%len(options)]
		form, err := o.canon(text)
		if err != nil {
			if len(err.Error()) > 300+5*len(text) || err.Error() == "" {
				t.Errorf("%s=%q: %v", o.Name, text, err)
			}
			return
		}
		if again, err := o.canon(form); err != nil || again != form {
			t.Errorf("%s=%q has the canonical form %q, and that %q, %v", o.Name, text, form, again, err)
		}
	})
}

// Whatever a client's address is: all the ways to write one are one source.
func FuzzSource(f *testing.F) {
	for _, text := range []string{"10.0.0.7:41402", "[::1]:5", "[fe80::1%eth0]:80", "::ffff:1.2.3.4", "tcp://1.2.3.4:5", "unix:///x", "@", "", "[::]", "tls://[::ffff:1.2.3.4%x]:9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source := sourceOf(text)
		if source == "" {
			return
		}
		a, err := netip.ParseAddr(source)
		if err != nil || a.Zone() != "" || a.Is4In6() || a.String() != source {
			t.Fatalf("%q is of %q: %v", text, source, err)
		}
		for _, same := range []string{source, "[" + source + "]", netip.AddrPortFrom(a, 80).String(), "tcp://" + netip.AddrPortFrom(netip.AddrFrom16(a.As16()), 9).String()} {
			if got := sourceOf(same); got != source {
				t.Errorf("%q is of %q, and %q of %q", text, source, same, got)
			}
		}
	})
}

// Whatever a file is called, and whatever stands for the conn: the name has what
// is around the signs as it is, and the conn's words lead into no other directory.
func FuzzFileName(f *testing.F) {
	f.Add("/tmp/%c-%d.pcapng", "c7f3", "up")
	f.Add("%%%c%%", "../../etc/passwd", "")
	f.Add("a%", "", "down")
	f.Add("x%dy", "%c", "%%d")
	f.Fuzz(func(t *testing.T, name, conn, direction string) {
		form, err := canonFile(name)
		if err != nil {
			return
		}
		got := fileName(form, &Site{Conn: conn, Direction: direction})
		var want strings.Builder
		for rest := name; rest != ""; {
			before, after, found := strings.Cut(rest, "%")
			want.WriteString(before)
			if !found {
				break
			}
			switch after[0] {
			case 'c':
				want.WriteString(word(conn))
			case 'd':
				want.WriteString(word(direction))
			default:
				want.WriteByte('%')
			}
			rest = after[1:]
		}
		if got != want.String() || strings.Count(got, "/") != strings.Count(name, "/") {
			t.Errorf("%q of %q, %q is %q, not %q", name, conn, direction, got, &want)
		}
		if !utf8.ValidString(got) && utf8.ValidString(name) && utf8.ValidString(conn) && utf8.ValidString(direction) {
			t.Errorf("%q is cut", got)
		}
	})
}

// word is a conn's word in a name.
func word(text string) string {
	if text == "" {
		return "none"
	}
	return strings.Join(strings.Split(text, "/"), "_")
}
