package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"relayd/cmd/relayd/internal/screen"
)

// A table is rows of cells, the first of which may be the columns' names.
type table [][]string

// maxPadding is how wide a cell makes its column at most: a wider one is in the way
// of its own row only. One that is a megabyte wide would make all rows so.
const maxPadding = 200

// String lays it out: each column as wide as its widest cell, and nothing behind
// the last one. Cells may be somebody else's words.
func (t table) String() string {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			row[i] = screen.Clean(cell)
			cell = row[i]
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if n := utf8.RuneCountInString(cell); n <= maxPadding {
				widths[i] = max(widths[i], n)
			}
		}
	}
	var b strings.Builder
	for _, row := range t {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%-*s", widths[i]+2, cell)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// humanTime writes a duration in two units at most.
func humanTime(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < day:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d/day), int(d.Hours())%24)
}

// humanSize writes a number of bytes in three digits, with the unit that they
// need.
func humanSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%dB", n)
	}
	v := float64(n)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		v /= 1024
		switch {
		case v < 9.95:
			return fmt.Sprintf("%.1f%s", v, unit)
		case v < 999.5:
			return fmt.Sprintf("%.0f%s", v, unit)
		}
	}
	return fmt.Sprintf("%.0fE", v/1024)
}
