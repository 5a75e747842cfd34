// Bars are what relayd has to reach beside the others.

package main

import (
	"cmp"
	"fmt"
	"math"
)

// A bar is on one metric in one row.
type bar struct {
	row    string
	what   string // the metric, in words
	metric metric
	atMost bool    // otherwise at least
	bound  float64 // of it, or times the other's
	than   string  // the other; "" for an absolute bound
	unit   string  // of an absolute bound
	coarse bool    // one digit counts, not two
	of     string  // whose it is; "" for relayd
}

// A verdict is what came of a bar.
type verdict struct {
	Row     string  `json:"row"`
	Bar     string  `json:"bar"`
	Value   float64 `json:"value"`
	Verdict string  `json:"verdict"` // pass, miss or n/a
	Reason  string  `json:"reason,omitempty"`
}

const (
	passed  = "pass"
	missed  = "miss"
	unknown = "n/a"
)

// bars returns all bars.
func bars() []bar {
	var list []bar
	for _, w := range []string{"bulk1-up", "bulk1-down", "bulk8-up", "bulk8-down"} {
		list = append(list,
			bar{row: w, what: "GB/s", metric: rate, bound: 1.25, than: peerSplice},
			bar{row: w, what: "GB/s", metric: rate, bound: 0.95, than: peerNaive},
			bar{row: w, what: "CPU", metric: cpu, atMost: true, bound: 0.25, unit: "s/GB"},
		)
	}
	list = append(list,
		bar{row: "rr1", what: "p50", metric: p50, atMost: true, bound: 1, than: peerHAProxy},
		bar{row: "rr50", what: "ops/s", metric: rate, bound: 1.15, than: peerHAProxy},
		bar{row: "rr50", what: "ops/s", metric: rate, bound: 1.05, than: peerNginx},
		bar{row: "rr50-16k", what: "ops/s", metric: rate, bound: 1.05, than: peerHAProxy},
		bar{row: "crr50", what: "ops/s", metric: rate, bound: 1, than: peerHAProxy},
		bar{row: "crr50", what: "ops/s", metric: rate, bound: 1.25, than: peerNaive},
		bar{row: "active5000", what: "errors", metric: noErrors, atMost: true, bound: 0},
	)
	for _, w := range []string{"idle5000", "idle500-moved"} {
		list = append(list,
			bar{row: w, what: "memory", metric: memory, atMost: true, bound: 1, unit: "kB/conn"},
			bar{row: w, what: "descriptors", metric: files, atMost: true, bound: 2, unit: "/conn", coarse: true},
		)
	}
	list = append(list, bar{row: "staged", what: "p99", metric: p99, atMost: true, bound: 1000, unit: "µs"})
	for _, codec := range codecs {
		list = append(list, bar{row: "tunnel", what: codec + ": p50", metric: p50, atMost: true, bound: 3, than: peerPair, of: peerPair + "-" + codec})
	}
	return list
}

// noErrors is 0: an error makes a relay fail, and there are no figures.
func noErrors(figures) float64 { return 0 }

func (b bar) String() string {
	relation := "at least"
	if b.atMost {
		relation = "at most"
	}
	s := fmt.Sprintf("%s %s %g", b.what, relation, b.bound)
	switch {
	case b.than != "":
		return s + " × " + b.than
	case b.unit != "":
		return s + " " + b.unit
	}
	return s
}

// judge returns the verdicts on all bars in the rows that were run.
func judge(r *result) []verdict {
	var list []verdict
	for _, b := range bars() {
		if w := r.row(b.row); w != nil {
			list = append(list, b.judge(w))
		}
	}
	return list
}

func (b bar) judge(w *rowResult) verdict {
	v := verdict{Row: w.Name, Bar: b.String(), Verdict: unknown}
	of := cmp.Or(b.of, peerRelayd)
	subject := w.cell(of)
	switch {
	case w.Missing != "":
		v.Reason = w.Missing
		return v
	case subject == nil:
		v.Reason = of + " was not run"
		return v
	case subject.Failed != "":
		v.Verdict, v.Reason = missed, of+" failed"
		return v
	case !subject.ok():
		v.Reason = "no figures of " + of
		return v
	}
	v.Value = b.metric(subject.Median)
	if b.than != "" {
		value, ok := w.ratio(b.metric, of, b.than)
		if !ok {
			v.Reason = "no figures of " + b.than
			return v
		}
		v.Value = value
	}
	// Rounded to what is shown: a bar is not missed by what nobody sees.
	shown := 100.0
	if b.coarse {
		shown = 10 // a few pipes for all are none for each
	}
	v.Value = math.Round(v.Value*shown) / shown
	if b.atMost && v.Value <= b.bound || !b.atMost && v.Value >= b.bound {
		v.Verdict = passed
	} else {
		v.Verdict = missed
	}
	return v
}
