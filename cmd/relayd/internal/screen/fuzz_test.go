package screen

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever a text is: what is made of it only prints, and what only printed
// before is as it was.
func FuzzClean(f *testing.F) {
	for _, text := range []string{"", "plain", "世界", "\x1b[2J", "\x9b31m", "\u009b31m", "\u202e", "a\tb\r\n", "\xff\xfe", "\ufffd", "\U000e0041", `\x1b`, `"\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := Clean(text)
		bad := func(r rune) bool { return !unicode.IsPrint(r) }
		if !utf8.ValidString(clean) || strings.ContainsFunc(clean, bad) {
			t.Errorf("%q becomes %q", text, clean)
		}
		if utf8.ValidString(text) && !strings.ContainsFunc(text, bad) && clean != text || Clean(clean) != clean {
			t.Errorf("%q becomes %q, and that %q", text, clean, Clean(clean))
		}
		ascii := ASCII(text)
		if strings.ContainsFunc(ascii, func(r rune) bool { return r < ' ' || r > '~' }) || len(ascii) > 10*len(text) {
			t.Errorf("%q becomes %q", text, ascii)
		}
		if back, err := strconv.Unquote(`"` + strings.ReplaceAll(ascii, `"`, `\"`) + `"`); ascii != text && (err != nil || back != text) {
			t.Errorf("%q becomes %q, which is %q, %v", text, ascii, back, err)
		}
	})
}
