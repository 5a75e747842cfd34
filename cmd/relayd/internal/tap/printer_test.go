package tap

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"relayd/cmd/relayd/internal/screen"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

// show is what a printer makes of a small conversation.
func show(t *testing.T, look Look, events ...Event) string {
	t.Helper()
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	var b bytes.Buffer
	p := NewPrinter(&b, look)
	h := Header{ID: "9x2k", Client: "10.0.0.7:41402", Upstream: "10.0.0.5:80", Side: "client", Up: []string{"gzip", "count"}}
	if err := p.Header(h); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := p.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

var conversation = []Event{
	{At: noon, From: "client", Data: []byte("GET / HTTP/1.1\r\nHost: example\r\n")},
	{At: noon, From: "upstream", Offset: 0x1000, Data: []byte{0, 0x1b, '[', '2', 'J', 0xff}},
	{At: noon, From: "upstream", Missed: 70000, Offset: 0x12345, Data: []byte("x")},
	{At: noon, From: "client", End: "fin"},
	{At: noon, From: "upstream", End: "read: connection reset\x1b[31m"},
	{At: noon, From: "us", End: "reset-upstream"},
}

func TestHex(t *testing.T) {
	want := `conn 9x2k: client 10.0.0.7:41402 ↔ upstream 10.0.0.5:80
the client's side of the stages up gzip,count
12:00:00.123456 → up 31 bytes
00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a |GET / HTTP/1.1..|
00000010  48 6f 73 74 3a 20 65 78  61 6d 70 6c 65 0d 0a    |Host: example..|
12:00:00.123456 ← down 6 bytes
00001000  00 1b 5b 32 4a ff                                |..[2J.|
12:00:00.123456 ← down: 70000 bytes are not shown: this end was slower than the conn
12:00:00.123456 ← down 1 byte
00012345  78                                               |x|
12:00:00.123456 → up ended: fin
12:00:00.123456 ← down ended: read: connection reset\x1b[31m
12:00:00.123456 conn ended: reset-upstream
`
	if got := show(t, Look{}, conversation...); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestText(t *testing.T) {
	want := `conn 9x2k: client 10.0.0.7:41402 <-> upstream 10.0.0.5:80
the client's side of the stages up gzip,count
12:00:00.123456 -> up 31 bytes
  GET / HTTP/1.1
  Host: example
12:00:00.123456 <- down 6 bytes
  \x00\x1b[2J\xff
12:00:00.123456 <- down: 70000 bytes are not shown: this end was slower than the conn
12:00:00.123456 <- down 1 byte
  x
12:00:00.123456 -> up ended: fin
12:00:00.123456 <- down ended: read: connection reset\x1b[31m
12:00:00.123456 conn ended: reset-upstream
`
	if got := show(t, Look{Text: true, ASCII: true}, conversation...); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Lines of bytes fit into the terminal, as long as it has any width at all.
func TestWidth(t *testing.T) {
	for width := 24; width < 200; width++ {
		for line := range strings.Lines(show(t, Look{Width: width}, conversation[0])) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); strings.HasPrefix(line, "000000") && n > width {
				t.Fatalf("at width %d a line has %d: %q", width, n, line)
			}
		}
	}
}

// Colours are put around what is shown, and taken back on the same line.
func TestColours(t *testing.T) {
	plain := show(t, Look{}, conversation...)
	for _, palette := range []screen.Palette{
		{Up: "\x1b[36m", Down: "\x1b[35m", Title: "\x1b[1m", Warn: "\x1b[31m", Off: "\x1b[m"},
		{Up: "\x1b[36m", Down: "\x1b[35m", Title: "\x1b[1m", Faint: "\x1b[2m", Warn: "\x1b[31m", Off: "\x1b[m"},
	} {
		got := show(t, Look{Colour: palette}, conversation...)
		if without := stripColours(got); without != plain {
			t.Errorf("without its colours it is\n%swant\n%s", without, plain)
		}
		for line := range strings.Lines(got) {
			if last := strings.LastIndex(line, "\x1b["); last >= 0 && !strings.HasPrefix(line[last:], "\x1b[m") {
				t.Errorf("the colour of %q goes on", line)
			}
		}
	}
}

func stripColours(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

// Whatever comes, only what can be printed reaches the terminal.
func FuzzPrinter(f *testing.F) {
	f.Add([]byte("\x1b]0;title\a"), "ended\x9b31m")
	f.Add([]byte("\u202egnp.exe\r\n\xc2\x9b1m"), "\u202e")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		for _, look := range []Look{{}, {Text: true}, {Width: 30, ASCII: true}} {
			var b bytes.Buffer
			p := NewPrinter(&b, look)
			p.Header(Header{ID: text, Client: text, Upstream: text, Side: text, Up: []string{text}})
			p.Event(Event{From: text, Data: data})
			p.Event(Event{From: "upstream", Missed: 1, End: text})
			p.Event(Event{From: "us", End: text})
			for _, r := range b.String() {
				if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError && !bytes.ContainsRune([]byte(text), r) && !bytes.ContainsRune(data, r) {
					t.Fatalf("%q reaches the terminal in %q", r, b.String())
				}
			}
		}
	})
}
