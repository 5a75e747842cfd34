package process

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Whatever a program writes to its standard error: what is passed on are its
// lines, each no longer than maxLine.
func FuzzLines(f *testing.F) {
	for _, text := range []string{"", "a", "a\n", "a\r\nb\n\nc", "\n\n", "\r\r\n", strings.Repeat("x", maxLine+1), strings.Repeat("x", maxLine-1) + "\ry\n", strings.Repeat("y", maxLine) + "\nz", strings.Repeat("\x00\xff", maxLine) + "\r\n\x1b[2J"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, written []byte) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		p := &Process{lines: r, c: Command{Stderr: func(line string) { got = append(got, line) }}}
		done := make(chan struct{})
		go p.readLines(done)
		w.Write(written)
		w.Close()
		<-done
		r.Close()
		if want := cutLines(string(written)); !slices.Equal(got, want) {
			t.Errorf("%q is passed on as %q, not %q", written, got, want)
		}
	})
}

// cutLines are the lines of a text. A carriage return is taken off where the line
// ends, and where it is cut, for that may be one.
func cutLines(text string) (list []string) {
	for line := range strings.Lines(text) {
		if len(line) < maxLine || len(line) == maxLine && line[maxLine-1] == '\n' {
			whole, ended := strings.CutSuffix(line, "\n")
			if ended {
				whole = strings.TrimSuffix(whole, "\r")
			}
			list = append(list, whole)
			continue
		}
		list = append(list, strings.TrimSuffix(line[:maxLine], "\r"))
	}
	return list
}
