package upstream

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever stands for the bytes of a check: they are what a string of Go's with
// these escapes has, and an error is at a place in the text.
func FuzzUnescape(f *testing.F) {
	for _, text := range []string{"", "abc", `PING\r\n`, `\x00\xff\\`, `a"b'c`, `\"\'`, "é", `\u00e9`, "\xff", `\`, `a\q`, `\x`, `\777`, `\400`, "\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := unescape(text)
		if err != nil && len(text) <= maxText && !strings.Contains(err.Error(), "the escape at byte ") {
			t.Errorf("%q: %v", text, err)
		}
		if len(got) > len(text) || err != nil && got != nil {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
		if len(text) > maxText || strings.ContainsAny(text, "\"'\n") || !utf8.ValidString(text) {
			return // no string of Go's has these, or not as they are
		}
		want, wrong := strconv.Unquote(`"` + text + `"`)
		if (wrong == nil) != (err == nil) || err == nil && string(got) != want {
			t.Errorf("%q becomes %q, %v, and in Go %q, %v", text, got, err, want, wrong)
		}
	})
}

// A talker says something in pieces, and hears anything.
type talker struct {
	says  []byte
	piece int
	read  int
}

func (k *talker) Write(p []byte) (int, error) { return len(p), nil }

func (k *talker) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), k.piece)], k.says)
	k.says, k.read = k.says[n:], k.read+n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Whatever a target answers to a check, in whatever pieces: it is well if what is
// expected is in the beginning of it, of which no more is read than that.
func FuzzCheckAnswer(f *testing.F) {
	f.Add([]byte("+PONG\r\n"), []byte("+PONG"), 1)
	f.Add([]byte("-ERR\x1b[2J"), []byte("+PONG"), 3)
	f.Add(bytes.Repeat([]byte("x"), maxAnswer+10), []byte("xy"), 700)
	f.Add(append(bytes.Repeat([]byte("x"), maxAnswer-3), "pong"...), []byte("pong"), 4096)
	f.Add([]byte(nil), []byte("a"), 1)
	f.Fuzz(func(t *testing.T, answer, expect []byte, piece int) {
		k := &talker{says: answer, piece: max(1, piece%(64<<10))}
		err := (&Pool{send: []byte("?"), expect: expect}).converse(context.Background(), k)
		all := len(answer)
		switch within := bytes.Contains(answer[:min(all, maxAnswer)], expect); {
		case within && err != nil, !bytes.Contains(answer, expect) && err == nil:
			t.Errorf("%q in %.200q: %v", expect, answer, err)
		case k.read > 2*maxAnswer:
			t.Errorf("%d bytes are read", k.read)
		}
		if err == nil {
			return
		}
		if text := err.Error(); len(text) > 500+4*len(expect) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("the error is %q", text)
		}
	})
}

// The words of configurations are read as they are written, and no others.
func FuzzWords(f *testing.F) {
	for _, list := range [][]string{balances, onDowns, records, states, {"", "Up", "unknown(9)", "\x1b[2J"}} {
		for _, w := range list {
			f.Add(w)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b Balance
		var o OnDown
		var r Records
		var s State
		for _, x := range []struct {
			err   error
			wrote string
		}{
			{b.UnmarshalText([]byte(text)), b.String()}, {o.UnmarshalText([]byte(text)), o.String()},
			{r.UnmarshalText([]byte(text)), r.String()}, {s.UnmarshalText([]byte(text)), s.String()},
		} {
			if (x.err == nil) != (x.wrote == text) && x.err == nil {
				t.Errorf("%q is read as %q", text, x.wrote)
			}
			if x.err != nil && !strings.Contains(x.err.Error(), strconv.Quote(text)) {
				t.Errorf("%q: %v", text, x.err)
			}
		}
	})
}
