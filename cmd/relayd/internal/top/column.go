package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A column is one of the table, and an order to sort by.
type column struct {
	key     string // sorts by it
	title   string
	width   int // at least; 0: as much as is left
	right   bool
	weight  int // the lowest is left out first where there is no room; 0 stays
	text    func(*row) string
	compare func(a, b *row) int
	falling bool // the natural order has the greatest first
}

// columns are all of them, from left to right.
var columns = []column{
	{"n", "ID", 8, false, 0, func(r *row) string { return r.ID }, func(a, b *row) int { return cmp.Compare(a.ID, b.ID) }, false},
	{"c", "CLIENT", 21, false, 90, func(r *row) string { return r.Client }, func(a, b *row) int { return cmp.Compare(a.Client, b.Client) }, false},
	{"p", "UPSTREAM", 21, false, 20, func(r *row) string { return r.Upstream }, func(a, b *row) int { return cmp.Compare(a.Upstream, b.Upstream) }, false},
	{"t", "STATE", 11, false, 60, func(r *row) string { return r.State }, func(a, b *row) int { return cmp.Compare(a.State, b.State) }, false},
	{"u", "UP/s", 6, true, 80, func(r *row) string { return size(r.upRate) }, func(a, b *row) int { return cmp.Compare(a.upRate, b.upRate) }, true},
	{"d", "DOWN/s", 7, true, 81, func(r *row) string { return size(r.downRate) }, func(a, b *row) int { return cmp.Compare(a.downRate, b.downRate) }, true},
	{"U", "UP", 6, true, 30, func(r *row) string { return size(float64(r.Up)) }, func(a, b *row) int { return cmp.Compare(a.Up, b.Up) }, true},
	{"D", "DOWN", 6, true, 31, func(r *row) string { return size(float64(r.Down)) }, func(a, b *row) int { return cmp.Compare(a.Down, b.Down) }, true},
	{"i", "IDLE", 6, true, 70, func(r *row) string { return span(r.Idle) }, func(a, b *row) int { return cmp.Compare(a.Idle, b.Idle) }, true},
	{"a", "AGE", 5, true, 50, func(r *row) string { return span(r.Age) }, func(a, b *row) int { return cmp.Compare(a.Age, b.Age) }, true},
}

// gap is between columns.
const gap = 1

// fitting returns the columns that a width has room for, and their widths. What
// is left over goes to the addresses.
func fitting(width int) (list []column, widths []int) {
	list = slices.Clone(columns)
	for len(list) > 1 && total(list) > width {
		least := -1
		for i, c := range list {
			if c.weight > 0 && (least < 0 || c.weight < list[least].weight) {
				least = i
			}
		}
		list = slices.Delete(list, least, least+1)
	}
	rest := max(0, width-total(list))
	var wide []int
	for i, c := range list {
		widths = append(widths, c.width)
		if c.title == "CLIENT" || c.title == "UPSTREAM" {
			wide = append(wide, i)
		}
	}
	for n, i := range wide {
		share := min(rest/(len(wide)-n), maxAddress-widths[i])
		widths[i] += share
		rest -= share
	}
	if len(list) == 1 {
		widths[0] = min(widths[0], width)
	}
	return list, widths
}

// maxAddress is as much as an IPv6 address with its port takes.
const maxAddress = 47

func total(list []column) int {
	n := gap * (len(list) - 1)
	for _, c := range list {
		n += c.width
	}
	return n
}

// line lays cells out.
func line(list []column, widths []int, cell func(column) string) string {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		format := "%-*s"
		if c.right {
			format = "%*s"
		}
		fmt.Fprintf(&b, format, widths[i], fit(cell(c), widths[i]))
	}
	return b.String()
}

// An order is how the table is sorted.
type order struct {
	by       string // a column's key
	reversed bool
}

func (o order) column() column {
	return columns[slices.IndexFunc(columns, func(c column) bool { return c.key == o.by })]
}

// down reports whether the greatest come first.
func (o order) down() bool { return o.column().falling != o.reversed }

// sort sorts rows. Those that compare equal keep the order of their ids, so that
// the table stands still where nothing moves.
func (o order) sort(list []row) {
	c, down := o.column(), o.down()
	slices.SortFunc(list, func(a, b row) int {
		n := c.compare(&a, &b)
		if down {
			n = -n
		}
		return cmp.Or(n, cmp.Compare(a.ID, b.ID))
	})
}

// next returns the key of the column beside the one sorted by.
func (o order) next(step int) string {
	i := slices.IndexFunc(columns, func(c column) bool { return c.key == o.by })
	return columns[(i+step+len(columns))%len(columns)].key
}
