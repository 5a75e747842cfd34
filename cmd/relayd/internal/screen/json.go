package screen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// PrintJSON writes a value as a line of JSON that a terminal prints and does not
// obey: what is not printable is an escape, also where JSON does not ask for one.
func PrintJSON(w io.Writer, v any) error { return json.NewEncoder(EscapeJSON(w)).Encode(v) }

// EscapeJSON returns a writer of JSON, a line at a time, in which all that is not
// printable is an escape. It says the same: such signs are only in its texts.
func EscapeJSON(w io.Writer) io.Writer { return escaper{w} }

type escaper struct{ w io.Writer }

func (e escaper) Write(p []byte) (int, error) {
	line := bytes.TrimSuffix(p, []byte("\n"))
	if !bytes.ContainsFunc(line, isHidden) {
		return e.w.Write(p)
	}
	var b strings.Builder
	for _, r := range string(line) {
		switch {
		case !isHidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.Write(p[len(line):])
	if _, err := io.WriteString(e.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func isHidden(r rune) bool { return !unicode.IsPrint(r) }
