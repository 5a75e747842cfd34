package transform

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
	}{
		{"cat", []string{"cat"}},
		{" \ttr  a-z\nA-Z ", []string{"tr", "a-z", "A-Z"}},
		{`sh -c 'cat | tr "a" \n; echo $x'`, []string{"sh", "-c", `cat | tr "a" \n; echo $x`}},
		{`sed "s/\"a\"/\\b\n$x/"`, []string{"sed", `s/"a"/\b\n$x/`}},
		{`a\ b \| '' "" c''d'e'`, []string{"a b", "|", "", "", "cde"}},
		{`x * ? ~ # = {a,b} [c] !`, []string{"x", "*", "?", "~", "#", "=", "{a,b}", "[c]", "!"}},
		{"ü '\xff'", []string{"ü", "\xff"}},
	} {
		got, err := splitCommand(test.in)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v; want %q", test.in, got, err, test.want)
		}
	}
	for _, test := range []struct{ in, want string }{
		{"", "want a program, and its arguments"},
		{" ", "want a program, and its arguments"},
		{"''", "want a program, and its arguments"},
		{"cat 'x", "the quote ' is not closed"},
		{`cat "x\"`, `the quote " is not closed`},
		{`cat \`, `a \ at the end quotes nothing`},
		{"cat | tr", `'|' means something to a shell only: quote it, or run one: /bin/sh -c '…'`},
		{"cat $HOME", `'$' means something to a shell only: quote it, or run one: /bin/sh -c '…'`},
		{"cat a&", `'&' means something to a shell only: quote it, or run one: /bin/sh -c '…'`},
		{"cat \x00", "a NUL byte cannot be given to a program"},
		{"cat '\x00'", "a NUL byte cannot be given to a program"},
		{`cat \` + "\x00", "a NUL byte cannot be given to a program"},
	} {
		got, err := splitCommand(test.in)
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: got %q, %v; want %s", test.in, got, err, test.want)
		}
	}
}

// Words that are quoted are split into the same words again.
func FuzzSplitWords(f *testing.F) {
	for _, seed := range []string{"cat", "a b", `'"\`, "$x|y", "\xff\n", ""} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		splitCommand(a)
		a, b = "x"+strings.ReplaceAll(a, "\x00", ""), strings.ReplaceAll(b, "\x00", "")
		single := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
		double := func(s string) string {
			return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
		}
		for _, in := range []string{single(a) + " " + double(b), double(a) + " " + single(b)} {
			got, err := splitCommand(in)
			if err != nil || !slices.Equal(got, []string{a, b}) {
				t.Fatalf("%s: got %q, %v; want %q and %q", in, got, err, a, b)
			}
		}
	})
}
