// A result is all that was measured.

package main

import (
	"slices"
	"time"
)

// A result is rows of cells.
type result struct {
	Started time.Time    `json:"started"`
	Took    string       `json:"took"`
	Kernel  string       `json:"kernel"`
	Go      string       `json:"go"`
	Cores   int          `json:"cores"`
	Files   int          `json:"files"` // that a process may have open
	Measure string       `json:"measure"`
	Peers   []peerResult `json:"peers"`
	Rows    []*rowResult `json:"rows"`
	Bars    []verdict    `json:"bars"`
}

type peerResult struct {
	Name    string `json:"name"`
	What    string `json:"what"`
	Missing string `json:"missing,omitempty"`
}

type rowResult struct {
	row     row
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Missing string  `json:"missing,omitempty"` // why it was not run
	Cells   []*cell `json:"relays"`
}

// A cell is one relay in one row.
type cell struct {
	Peer    string    `json:"name"`
	Failed  string    `json:"failed,omitempty"`
	Missing string    `json:"missing,omitempty"` // why it was not run
	Samples []figures `json:"samples,omitempty"` // one for each round
	Median  figures   `json:"median"`
}

// A metric picks one of the figures.
type metric func(figures) float64

func rate(f figures) float64   { return f.Rate }
func cpu(f figures) float64    { return f.CPU }
func p50(f figures) float64    { return f.P50 }
func p99(f figures) float64    { return f.P99 }
func memory(f figures) float64 { return f.Memory }
func files(f figures) float64  { return f.Files }

// ok reports whether there are figures, and none of them is of a failure.
func (c *cell) ok() bool {
	return c != nil && c.Failed == "" && c.Missing == "" && len(c.Samples) > 0
}

// summarize fills in the medians, each figure by itself.
func (c *cell) summarize() {
	of := func(m metric) float64 {
		var values []float64
		for _, s := range c.Samples {
			values = append(values, m(s))
		}
		return median(values)
	}
	c.Median = figures{of(rate), of(cpu), of(p50), of(p99), of(memory), of(files)}
}

// cell returns the cell of a peer, nil if there is none.
func (w *rowResult) cell(peer string) *cell {
	for _, c := range w.Cells {
		if c.Peer == peer {
			return c
		}
	}
	return nil
}

// ratio returns the median over the rounds of what one peer had for each of
// another's. Without figures of both it is not ok.
func (w *rowResult) ratio(m metric, of, to string) (r float64, ok bool) {
	a, b := w.cell(of), w.cell(to)
	if !a.ok() || !b.ok() {
		return 0, false
	}
	var ratios []float64
	for i := range min(len(a.Samples), len(b.Samples)) {
		if base := m(b.Samples[i]); base > 0 {
			ratios = append(ratios, m(a.Samples[i])/base)
		}
	}
	return median(ratios), len(ratios) > 0
}

// median returns the middle of values, of an even number the mean of the two in
// the middle, and of none 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// row returns the row of a name, nil if it was not run.
func (r *result) row(name string) *rowResult {
	for _, w := range r.Rows {
		if w.Name == name {
			return w
		}
	}
	return nil
}
