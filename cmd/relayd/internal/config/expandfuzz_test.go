package config

import (
	"strings"
	"testing"
)

// FuzzExpand gives what is in braces anything. What comes of it is bounded, and
// of what is in a file nothing is in an error.
func FuzzExpand(f *testing.F) {
	for _, text := range []string{"${A}", "${A:-b}", "${file:/k}", "$$", "$", "${", "${file:k}", "${${A}}", "${A:-${B}}", "\x1b${\x1b}", "${file:/k}${file:/k}${nothing}"} {
		f.Add(text)
	}
	const secret = "hunter2-hunter2"
	f.Fuzz(func(t *testing.T, text string) {
		e := &expander{
			lookup: func(name string) (string, bool) { return "x" + name, len(name) < 4 },
			read:   func(string) ([]byte, error) { return []byte(secret), nil },
			left:   1 << 10,
		}
		out, fromFile, err := e.expand(text)
		switch {
		case err != nil && containsNew(err.Error(), text, secret):
			t.Errorf("%q: %v", text, err)
		case err == nil && len(out) > len(text)+1<<10:
			t.Errorf("%q becomes %d bytes", text, len(out))
		case err == nil && !fromFile && containsNew(out, text, secret):
			t.Errorf("%q becomes %q, and is said not to be from a file", text, out)
		}
	})
}

// containsNew reports whether a text has a word that another has not.
func containsNew(text, other, word string) bool {
	return strings.Contains(text, word) && !strings.Contains(other, word)
}
