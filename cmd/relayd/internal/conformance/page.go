package conformance

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page is a Result as the template wants it.
type page struct {
	*Result
	Ran      int
	KindList string
	Seconds  string
	When     string
	Policies []string
	Groups   []pageGroup
	Facts    []pageFact
}

type pageGroup struct {
	Letter, Name string
	Rows         []pageRow
}

type pageRow struct {
	Number   int
	Title    string
	Failed   bool
	Columns  []pageColumn
	Steps    []pageStep
	More     int // variants that are not shown
	Measured []Fact
	Reasons  []string
	Failures []string
}

// A pageColumn is a column of one row, and a pageMark what is shown of it, or of
// one kind.
type pageColumn struct {
	pageMark
	Says  string
	Kinds []pageMark
}

type pageMark struct{ Name, Mark, Class string }

type pageStep struct {
	First bool // of a variant
	Event string
	Words []string
}

// A pageFact is a row that ran beside a plain connection.
type pageFact struct {
	Row   int
	Title string
	Why   string
	Kinds []pageCompared
}

type pageCompared struct{ Kind, Ours, Naive string }

// compared are the rows beside which a plain connection ran, and why it does
// what it does.
var compared = map[int]string{
	9: "Closing a descriptor with a single unread byte makes the system reset the connection, and the reset destroys what the peer has not read yet. " +
		"Dropping here means draining: FIN, then what the peer still sends is read and thrown away, and the descriptor is closed after the peer’s FIN.",
	30: "A forced close has nothing left to act on when a graceful one has just won: the kernel finishes the connection in its own time. " +
		"A socket that drains keeps its descriptor, so a shutdown always finds it. The plain pair is SetLinger(0) and Close against CloseWrite and Close.",
	46: "The system reports a reset once for each socket. If a write meets it first, the next read returns 0, " +
		"which reads as a clean end of a stream that was cut.",
}

// shownVariants is how many scripts of a row the page prints.
const shownVariants = 2

// WriteHTML writes the result as one page that needs nothing else.
func (r *Result) WriteHTML(w io.Writer) error {
	p := page{
		Result:   r,
		Ran:      r.Passed + r.Failed,
		KindList: list(r.Kinds),
		Seconds:  fmt.Sprintf("%.0f seconds", max(r.Took.Seconds(), 1)),
		When:     r.Began.UTC().Format("2 January 2006, 15:04 UTC"),
		Policies: r.Columns[:shutdown],
		Facts:    r.pageFacts(),
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Letter != row.Group {
			p.Groups = append(p.Groups, pageGroup{Letter: row.Group, Name: groups[row.Group[0]]})
		}
		g := &p.Groups[len(p.Groups)-1]
		g.Rows = append(g.Rows, r.pageRow(row))
	}
	return pageTemplate.Execute(w, p)
}

// list joins words as a sentence does.
func list(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

func (r *Result) pageRow(row *Row) pageRow {
	p := pageRow{Number: row.Number, Title: row.Title}
	for _, name := range r.Columns {
		c := pageColumn{Says: row.Says[name]}
		count := make(map[Status]int)
		for _, k := range r.Kinds {
			cell := row.cell(name, k)
			count[cell.Status]++
			c.Kinds = append(c.Kinds, pageMark{k, string(cell.Status), class(cell.Status)})
			switch {
			case cell.Status == Failed:
				p.Failed = true
				p.Failures = append(p.Failures, fmt.Sprintf("%s, %s: %s", name, k, cell.Detail))
			case cell.Status == NotApplicable:
				p.Reasons = appendNew(p.Reasons, cell.Detail)
			}
		}
		c.pageMark = mark(name, count, len(r.Kinds))
		p.Columns = append(p.Columns, c)
	}
	for _, f := range r.Facts {
		if f.Row == row.Number {
			p.Measured = append(p.Measured, f)
		}
	}
	p.steps(row, r.Columns[:shutdown])
	return p
}

// mark is all kinds of a column in one.
func mark(name string, count map[Status]int, all int) pageMark {
	switch {
	case count[Failed] > 0:
		return pageMark{name, fmt.Sprintf("FAIL %d/%d", count[Failed], all), class(Failed)}
	case count[OK] == all:
		return pageMark{name, "ok", class(OK)}
	case count[OK] == 0:
		return pageMark{name, "n/a", class(NotApplicable)}
	}
	return pageMark{name, fmt.Sprintf("ok %d/%d", count[OK], all), class(OK)}
}

func class(s Status) string {
	return map[Status]string{OK: "ok", Failed: "fail", NotApplicable: "na"}[s]
}

// steps adds a row's steps, of its first variants.
func (p *pageRow) steps(row *Row, policies []string) {
	last := 0
	for _, s := range row.Steps {
		if s.Variant > shownVariants {
			p.More = s.Variant - shownVariants
			continue
		}
		step := pageStep{First: s.Variant != last && last != 0, Event: s.Event}
		last = s.Variant
		for _, name := range policies {
			step.Words = append(step.Words, s.Want[name])
		}
		p.Steps = append(p.Steps, step)
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// pageFacts are the comparisons.
func (r *Result) pageFacts() []pageFact {
	var facts []pageFact
	for i := range r.Rows {
		why, ok := compared[r.Rows[i].Number]
		if !ok {
			continue
		}
		f := pageFact{Row: r.Rows[i].Number, Title: r.Rows[i].Title, Why: why}
		for _, k := range r.Kinds {
			c := pageCompared{Kind: k}
			for _, fact := range r.Compared() {
				switch {
				case fact.Row != f.Row || fact.Kind != k:
				case fact.Naive:
					c.Naive = fact.Text
				default:
					c.Ours = fact.Text
				}
			}
			if c.Naive != "" {
				f.Kinds = append(f.Kinds, c)
			}
		}
		if len(f.Kinds) > 0 {
			facts = append(facts, f)
		}
	}
	return facts
}
