package config

// What is wrong with a file is found all at once, and said with its place.

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Problem is one thing that is wrong, or that is strange.
type Problem struct {
	At      Origin
	Path    string // of the key: routes.db.timeouts.idle; "" for the file
	Text    string // what is wrong, and what to do
	Warning bool   // it is only strange
}

// String is one line that is safe to print: FILE:LINE:COLUMN: PATH: TEXT.
func (p Problem) String() string {
	var b strings.Builder
	if at := p.At.place(); at != "" {
		b.WriteString(at + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Text)
	return plain(b.String(), maxProblem)
}

const (
	maxProblem  = 1000 // bytes of a line
	maxProblems = 100  // that are kept; the rest is counted
)

// Problems are sorted by their places.
type Problems struct {
	List []Problem
	// More is how many errors are left out.
	More int
}

// Err returns nil if there are only warnings.
func (p *Problems) Err() error {
	if p.Errors() == 0 {
		return nil
	}
	return p
}

// Errors counts those that are no warnings.
func (p *Problems) Errors() int {
	n := p.More
	for _, x := range p.List {
		if !x.Warning {
			n++
		}
	}
	return n
}

// Error is all of them, a line each.
func (p *Problems) Error() string {
	var lines []string
	for _, x := range p.List {
		lines = append(lines, x.String())
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d errors more", p.More))
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(x Problem) {
	if len(p.List) < maxProblems {
		p.List = append(p.List, x)
	} else if !x.Warning {
		p.More++
	}
}

func (p *Problems) sort() {
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column), strings.Compare(a.Path, b.Path))
	})
}

// show quotes a text of the file for a message.
func show(text string) string {
	const most = 64
	if len(text) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		return strconv.Quote(text[:cut]) + "…"
	}
	return strconv.Quote(text)
}

// plain makes a line of at most so many bytes from a text, without anything that
// a terminal would obey.
func plain(text string, most int) string {
	var b strings.Builder
	for i, r := range text {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
