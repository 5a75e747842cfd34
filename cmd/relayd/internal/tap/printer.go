package tap

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"relayd/cmd/relayd/internal/screen"
)

// A Look says how a Printer shows things.
type Look struct {
	Width  int  // columns; 0 means 80
	Text   bool // only text, rather than bytes and text
	Colour screen.Palette
	ASCII  bool // no arrows or other signs beyond ASCII
}

// A Printer shows a stream to a person. No byte of the stream reaches w as it is
// unless it can be printed: escape sequences and other controls do not.
type Printer struct {
	w     *bufio.Writer
	look  Look
	bytes int // on one line
}

// NewPrinter returns one that writes to w.
func NewPrinter(w io.Writer, look Look) *Printer {
	if look.Width <= 0 {
		look.Width = 80
	}
	return &Printer{w: bufio.NewWriter(w), look: look, bytes: bytesPerLine(look.Width)}
}

// bytesPerLine is how many bytes a line of a width can show: each takes three
// columns on the left and one on the right; beside them are the offset, gaps
// and bars, and one more gap after eight bytes.
func bytesPerLine(width int) int {
	for _, n := range []int{16, 8, 4} {
		if offsetWidth+3*n+4+n+n/16 <= width {
			return n
		}
	}
	return 2
}

// offsetWidth is the least that offsets take.
const offsetWidth = 8

// Header shows what the stream is of.
func (p *Printer) Header(h Header) error {
	p.title(fmt.Sprintf("conn %s: client %s %s upstream %s", screen.Clean(h.ID), screen.Clean(h.Client), p.sign("↔", "<->"), screen.Clean(h.Upstream)))
	if stages := append(named("up", h.Up), named("down", h.Down)...); len(stages) > 0 {
		p.title(fmt.Sprintf("the %s's side of the stages %s", screen.Clean(h.Side), strings.Join(stages, ", ")))
	}
	return p.w.Flush()
}

func named(direction string, stages []string) []string {
	if len(stages) == 0 {
		return nil
	}
	return []string{direction + " " + screen.Clean(strings.Join(stages, ","))}
}

// Event shows an event.
func (p *Printer) Event(e Event) error {
	if e.From == "us" {
		p.title(fmt.Sprintf("%s conn ended: %s", stamp(e.At), screen.Clean(e.End)))
		return p.w.Flush()
	}
	d := direction{"up", p.sign("→", "->"), p.look.Colour.Up}
	if e.From == "upstream" {
		d = direction{"down", p.sign("←", "<-"), p.look.Colour.Down}
	}
	if e.Missed > 0 {
		p.line(p.look.Colour.Warn, fmt.Sprintf("%s %s %s: %d bytes are not shown: this end was slower than the conn",
			stamp(e.At), d.arrow, d.name, e.Missed))
	}
	switch {
	case e.End != "":
		p.line(d.colour, fmt.Sprintf("%s %s %s ended: %s", stamp(e.At), d.arrow, d.name, screen.Clean(e.End)))
	case p.look.Text:
		p.line(d.colour, fmt.Sprintf("%s %s %s %s", stamp(e.At), d.arrow, d.name, count(len(e.Data))))
		p.text(d, e.Data)
	default:
		p.line(d.colour, fmt.Sprintf("%s %s %s %s", stamp(e.At), d.arrow, d.name, count(len(e.Data))))
		p.hex(d, e.Offset, e.Data)
	}
	return p.w.Flush()
}

// A direction is how one is shown.
type direction struct{ name, arrow, colour string }

func (p *Printer) sign(s, ascii string) string {
	if p.look.ASCII {
		return ascii
	}
	return s
}

func count(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.Itoa(n) + " bytes"
}

// stamp is a moment as people read it, in their own time.
func stamp(at time.Time) string { return at.Local().Format("15:04:05.000000") }

func (p *Printer) title(s string) { p.line(p.look.Colour.Title, s) }

// line writes a line in a colour.
func (p *Printer) line(colour, s string) {
	p.w.WriteString(colour)
	p.w.WriteString(s)
	if colour != "" {
		p.w.WriteString(p.look.Colour.Off)
	}
	p.w.WriteByte('\n')
}

// hex shows bytes in both columns.
func (p *Printer) hex(d direction, at int64, b []byte) {
	for len(b) > 0 {
		n := min(p.bytes, len(b))
		fmt.Fprintf(p.w, "%s%0*x%s  ", p.look.Colour.Faint, offsetWidth, at, p.faintOff())
		for i := range p.bytes {
			switch {
			case i < n:
				fmt.Fprintf(p.w, "%02x ", b[i])
			default:
				p.w.WriteString("   ")
			}
			if i == 7 && p.bytes > 8 {
				p.w.WriteByte(' ')
			}
		}
		p.w.WriteString(d.colour)
		p.w.WriteByte('|')
		for _, c := range b[:n] {
			if c < ' ' || c > '~' {
				c = '.'
			}
			p.w.WriteByte(c)
		}
		p.w.WriteByte('|')
		if d.colour != "" {
			p.w.WriteString(p.look.Colour.Off)
		}
		p.w.WriteByte('\n')
		b, at = b[n:], at+int64(n)
	}
}

func (p *Printer) faintOff() string {
	if p.look.Colour.Faint == "" {
		return ""
	}
	return p.look.Colour.Off
}

// text shows bytes as lines of text, with what cannot be printed as escapes.
func (p *Printer) text(d direction, b []byte) {
	for line := range strings.Lines(string(b)) {
		p.line(d.colour, "  "+screen.Clean(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")))
	}
}
