package conformance

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The colours say nothing that the words do not.
const (
	green = "\x1b[32m"
	red   = "\x1b[1;31m"
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// The widths of the table's columns, 100 in all.
const (
	numberWidth = 4
	titleWidth  = 34
	cellWidth   = 12
	wideCell    = 15 // for close-children
	tableWidth  = 100
)

// A table is a Result as text.
type table struct {
	w     *bufio.Writer
	r     *Result
	color bool
	notes []string       // reasons of n/a, in the order of their numbers
	known map[string]int // their numbers
}

// WriteTable writes the result as a table for people. With color it has some;
// what it says is in words.
func (r *Result) WriteTable(w io.Writer, color bool) error {
	t := &table{w: bufio.NewWriter(w), r: r, color: color, known: make(map[string]int)}
	t.heading()
	group := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Group != group {
			group = row.Group
			t.printf("\n%s\n", t.paint(bold, group+"   "+groups[group[0]]))
		}
		t.row(row)
	}
	t.measured()
	t.reasons()
	t.failures()
	t.summary()
	return t.w.Flush()
}

func (t *table) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

func (t *table) paint(color, text string) string {
	if !t.color || color == "" {
		return text
	}
	return color + text + plain
}

// heading is the legend and the names of the columns.
func (t *table) heading() {
	t.printf("P owns a connection. R and W are its halves, C is a second holder beside R. A column is what\n")
	t.printf("happens under a drop policy; shutdown is a shutdown after each step of the row.\n")
	t.printf("Run over: %s.\n\n", strings.Join(t.r.Kinds, ", "))
	t.printf("  %s         every kind does what it must    %s  so do 3 of 4, note 1 says why not the rest\n", t.paint(green, "ok"), t.paint(green, "ok 3/4 [1]"))
	t.printf("  %s    does not apply, see note 1      %s    a kind does something else, see below\n\n", t.paint(dim, "n/a [1]"), t.paint(red, "FAIL 1/4"))
	line := pad("row", numberWidth) + pad("sequence", titleWidth)
	for _, c := range t.r.Columns {
		line += pad(c, width(c))
	}
	t.printf("%s\n", t.paint(bold, strings.TrimSpace(line)))
}

// width returns the width of a column.
func width(column string) int {
	if len(column) >= cellWidth {
		return wideCell
	}
	return cellWidth
}

// row prints a row: its title, wrapped, and beside its first line the cells.
func (t *table) row(r *Row) {
	lines := wrap(r.Title, titleWidth-2)
	t.printf("%s%s", pad(fmt.Sprint(r.Number), numberWidth), pad(lines[0], titleWidth))
	for i, c := range t.r.Columns {
		text, color := t.cells(r, c)
		t.printf("%s", t.paint(color, text))
		if i < len(t.r.Columns)-1 {
			t.printf("%s", pad("", width(c)-len(text)))
		}
	}
	t.printf("\n")
	for _, line := range lines[1:] {
		t.printf("%*s%s\n", numberWidth, "", line)
	}
}

// cells returns the cells of a column, all kinds in one.
func (t *table) cells(r *Row, column string) (text, color string) {
	count := make(map[Status]int)
	note := 0
	for _, k := range t.r.Kinds {
		c := r.cell(column, k)
		count[c.Status]++
		if c.Status == NotApplicable && note == 0 {
			note = t.note(r, column, c.Detail)
		}
	}
	all := len(t.r.Kinds)
	switch {
	case count[Failed] > 0:
		return fmt.Sprintf("FAIL %d/%d", count[Failed], all), red
	case count[OK] == all:
		return "ok", green
	case count[OK] == 0:
		return fmt.Sprintf("n/a [%d]", note), dim
	}
	return fmt.Sprintf("ok %d/%d [%d]", count[OK], all, note), green
}

// note returns the number of a reason, which says of which kinds it is.
func (t *table) note(r *Row, column, why string) int {
	var of []string
	for _, k := range t.r.Kinds {
		if c := r.cell(column, k); c.Status == NotApplicable && c.Detail == why {
			of = append(of, k)
		}
	}
	text := strings.Join(of, ", ") + ": " + why
	if len(of) == len(t.r.Kinds) {
		text = why
	}
	if t.known[text] == 0 {
		t.notes = append(t.notes, text)
		t.known[text] = len(t.notes)
	}
	return t.known[text]
}

// reasons prints the notes.
func (t *table) reasons() {
	if len(t.notes) == 0 {
		return
	}
	t.printf("\n%s\n", t.paint(bold, "What does not apply, and why"))
	for i, n := range t.notes {
		t.item(fmt.Sprintf("[%d]", i+1), n)
	}
}

// item prints a text beside its mark, wrapped.
func (t *table) item(mark, text string) {
	const indent = 6
	for i, line := range wrap(text, tableWidth-indent) {
		if i > 0 {
			mark = ""
		}
		t.printf("%s%s\n", pad(mark, indent), line)
	}
}

// measured prints the facts.
func (t *table) measured() {
	facts := t.r.Compared()
	if len(facts) == 0 {
		return
	}
	t.printf("\n%s\n", t.paint(bold, "Measured, beside plain connections in the same cells"))
	for _, f := range facts {
		t.item(fmt.Sprint(f.Row), f.Kind+": "+f.Text)
	}
}

// failures prints what differed.
func (t *table) failures() {
	if t.r.Failed == 0 {
		return
	}
	t.printf("\n%s\n", t.paint(red, "FAIL: what differed"))
	for i := range t.r.Rows {
		r := &t.r.Rows[i]
		for _, c := range r.Cells {
			if c.Status == Failed {
				t.item(fmt.Sprint(r.Number), fmt.Sprintf("%s, %s: %s", c.Column, c.Kind, c.Detail))
			}
		}
	}
}

func (t *table) summary() {
	e := t.r.Environment
	t.printf("\n%s, %s/%s, kernel %s; cells that race: %d rounds\n", e.Go, e.OS, e.Arch, e.Kernel, t.r.Rounds)
	t.printf("%d ok, %d n/a, %d FAIL in %v\n", t.r.Passed, t.r.NA, t.r.Failed, t.r.Took.Round(100*time.Millisecond))
}

// pad fills a text with spaces.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// wrap cuts a text into lines at spaces, at least one.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
