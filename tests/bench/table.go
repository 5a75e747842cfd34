// A table is a result to read on a terminal.

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A column of a table: what it is called, and what a cell has in it.
type column struct {
	name string
	cell func(*rowResult, *cell) string
}

var (
	columnMargin = "  "
	noFigure     = "-"
)

// columns returns the columns for a kind of row.
func columns(k kind) []column {
	switch k {
	case byBytes:
		return []column{
			{"GB/s", show(rate, 2)},
			{"/direct", toDirect(rate)},
			{"CPU s/GB", showRelays(cpu, 2)},
		}
	case byMemory:
		return []column{
			{"kB/conn", show(memory, 2)},
			{"fds/conn", show(files, 1)},
		}
	}
	return []column{
		{"ops/s", show(rate, 0)},
		{"/direct", toDirect(rate)},
		{"CPU µs/op", showRelays(cpu, 1)},
		{"p50 µs", show(p50, 0)},
		{"/direct", toDirect(p50)},
		{"p99 µs", show(p99, 0)},
		{"/direct", toDirect(p99)},
	}
}

func show(m metric, digits int) func(*rowResult, *cell) string {
	return func(_ *rowResult, c *cell) string { return fmt.Sprintf("%.*f", digits, m(c.Median)) }
}

func showRelays(m metric, digits int) func(*rowResult, *cell) string {
	return func(_ *rowResult, c *cell) string {
		if c.Peer == peerDirect {
			return noFigure
		}
		return fmt.Sprintf("%.*f", digits, m(c.Median))
	}
}

func toDirect(m metric) func(*rowResult, *cell) string {
	return func(w *rowResult, c *cell) string {
		r, ok := w.ratio(m, c.Peer, peerDirect)
		if !ok {
			return noFigure
		}
		return fmt.Sprintf("%.2f", r)
	}
}

// writeTable writes the whole result.
func writeTable(out io.Writer, r *result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s, %d open files; each figure from %s\n", r.Kernel, r.Cores, r.Go, r.Files, r.Measure)
	for _, w := range r.Rows {
		fmt.Fprintf(&b, "\n%s: %s\n", w.Name, w.Title)
		if w.Missing != "" {
			fmt.Fprintf(&b, "%sn/a: %s\n", columnMargin, w.Missing)
			continue
		}
		writeRow(&b, w)
	}
	writeBars(&b, r.Bars)
	_, err := io.WriteString(out, b.String())
	return err
}

func writeRow(b *strings.Builder, w *rowResult) {
	list := columns(w.row.kind)
	head := []string{"relay"}
	for _, c := range list {
		head = append(head, c.name)
	}
	lines := [][]string{head}
	for _, c := range w.Cells {
		line := []string{c.Peer}
		switch {
		case c.Failed != "":
			line = append(line, "FAILED: "+c.Failed)
		case c.Missing != "":
			line = append(line, c.Missing)
		case !c.ok():
			line = append(line, "not measured")
		default:
			for _, col := range list {
				line = append(line, col.cell(w, c))
			}
		}
		lines = append(lines, line)
	}
	align(b, lines)
}

// align writes lines of fields: the first to the left, the others to the right.
// A line with two fields, where others have more, is a name and a remark.
func align(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, field := range line {
			if i == 0 || len(line) == len(widths) {
				widths[i] = max(widths[i], utf8.RuneCountInString(field))
			}
		}
	}
	for _, line := range lines {
		for i, field := range line {
			b.WriteString(columnMargin)
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(field)))
			switch {
			case i == 0:
				b.WriteString(field + pad)
			case len(line) < len(widths):
				b.WriteString(field)
			default:
				b.WriteString(pad + field)
			}
		}
		b.WriteByte('\n')
	}
}

func writeBars(b *strings.Builder, list []verdict) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\nbars for relayd\n")
	counts := make(map[string]int)
	lines := make([][]string, 0, len(list))
	for _, v := range list {
		value := v.Reason
		if value == "" {
			value = fmt.Sprintf("%.2f", v.Value)
		}
		lines = append(lines, []string{v.Verdict, v.Row, v.Bar, value})
		counts[v.Verdict]++
	}
	widths := make([]int, 3)
	for _, line := range lines {
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	for _, line := range lines {
		for i, field := range line {
			b.WriteString(columnMargin + field)
			if i < len(widths) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(field)))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%d passed, %d missed, %d not known\n", counts[passed], counts[missed], counts[unknown])
}
