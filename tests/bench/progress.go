// Progress says on standard error what is being measured, and how long it will
// take.

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

type progress struct {
	w        io.Writer
	terminal bool // one line, over and over
	done     int
	total    int
	started  time.Time
	width    int    // of the line that stands there
	last     string // the row and round that have had their line
}

func (p *progress) begin(rows []*rowResult, o options) {
	for _, w := range rows {
		if w.Missing != "" {
			continue
		}
		for _, c := range w.Cells {
			if c.Missing == "" {
				p.total += w.row.rounds(o)
			}
		}
	}
	p.started = time.Now()
}

// next tells of the measurement that begins now. Not on a terminal, it has a
// line for each round.
func (p *progress) next(row string, round, rounds int, peer string) {
	now := fmt.Sprintf("%s, round %d of %d", row, round, rounds)
	line := fmt.Sprintf("[%d/%d%s] %s", p.done+1, p.total, p.left(), now)
	p.done++
	switch {
	case p.terminal:
		p.replace(line + ": " + peer)
	case now != p.last:
		fmt.Fprintln(p.w, line)
	}
	p.last = now
}

// left estimates the time to the end, from what measurements took so far.
func (p *progress) left() string {
	if p.done == 0 {
		return ""
	}
	each := time.Since(p.started) / time.Duration(p.done)
	return fmt.Sprintf(", %v left", (each * time.Duration(p.total-p.done)).Round(time.Second))
}

func (p *progress) failed(row, peer, reason string) {
	p.clear()
	fmt.Fprintf(p.w, "%s: %s FAILED: %s\n", row, peer, reason)
}

func (p *progress) end() { p.clear() }

func (p *progress) replace(line string) {
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

func (p *progress) clear() {
	if p.terminal && p.width > 0 {
		p.replace("")
		fmt.Fprint(p.w, "\r")
	}
	p.width = 0
}
