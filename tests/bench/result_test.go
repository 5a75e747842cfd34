package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{4}, 4},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{1, 100, 3, 2}, 2.5},
	}
	for _, tt := range tests {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
	values := []float64{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("the rounds are out of order after a median")
	}
}

// newResult returns a result with a row of each kind, and something amiss.
func newResult() *result {
	rates := func(peer string, values ...float64) *cell {
		c := &cell{Peer: peer}
		for _, v := range values {
			c.Samples = append(c.Samples, figures{Rate: v, CPU: 1 / v, P50: 10 * v, P99: 20 * v})
		}
		c.summarize()
		return c
	}
	r := &result{Kernel: "Linux 1.0", Go: "go1.26", Cores: 2, Files: 20000, Measure: "1s"}
	r.Rows = []*rowResult{
		{Name: "bulk1-up", Title: "one stream", row: row{kind: byBytes}, Cells: []*cell{
			rates(peerDirect, 4, 2, 4), rates(peerRelayd, 3, 2, 2), rates(peerNaive, 2, 1, 1),
			{Peer: peerSplice, Failed: "it hangs"}, {Peer: peerNginx, Missing: "not installed"},
		}},
		{Name: "rr50", Title: "64 B & more", row: row{kind: byOps}, Cells: []*cell{
			rates(peerDirect, 1000), rates(peerRelayd, 1060), rates(peerHAProxy, 1000), rates(peerNginx, 1000),
		}},
		{Name: "idle500-moved", Title: "idle", row: row{kind: byMemory}, Cells: []*cell{
			{Peer: peerRelayd, Samples: []figures{{}}, Median: figures{Memory: 1.5, Files: 2.04}},
		}},
		{Name: "idle5000", Title: "idle", row: row{kind: byMemory}, Cells: []*cell{
			{Peer: peerRelayd, Failed: "it hangs"},
		}},
		{Name: "staged", Title: "stages", Missing: "one route"},
	}
	r.Bars = judge(r)
	return r
}

func TestTable(t *testing.T) {
	const want = `Linux 1.0, 2 cores, go1.26, 20000 open files; each figure from 1s

bulk1-up: one stream
  relay           GB/s  /direct  CPU s/GB
  direct          4.00     1.00         -
  relayd          2.00     0.75      0.50
  naive           1.00     0.50      1.00
  haproxy-splice  FAILED: it hangs
  nginx           not installed

rr50: 64 B & more
  relay    ops/s  /direct  CPU µs/op  p50 µs  /direct  p99 µs  /direct
  direct    1000     1.00          -   10000     1.00   20000     1.00
  relayd    1060     1.06        0.0   10600     1.06   21200     1.06
  haproxy   1000     1.00        0.0   10000     1.00   20000     1.00
  nginx     1000     1.00        0.0   10000     1.00   20000     1.00

idle500-moved: idle
  relay   kB/conn  fds/conn
  relayd     1.50       2.0

idle5000: idle
  relay   kB/conn  fds/conn
  relayd  FAILED: it hangs

staged: stages
  n/a: one route

bars for relayd
  n/a   bulk1-up       GB/s at least 1.25 × haproxy-splice  no figures of haproxy-splice
  pass  bulk1-up       GB/s at least 0.95 × naive           2.00
  miss  bulk1-up       CPU at most 0.25 s/GB                0.50
  miss  rr50           ops/s at least 1.15 × haproxy        1.06
  pass  rr50           ops/s at least 1.05 × nginx          1.06
  miss  idle5000       memory at most 1 kB/conn             relayd failed
  miss  idle5000       descriptors at most 2 /conn          relayd failed
  miss  idle500-moved  memory at most 1 kB/conn             1.50
  pass  idle500-moved  descriptors at most 2 /conn          2.00
  n/a   staged         p99 at most 1000 µs                  one route
3 passed, 5 missed, 2 not known
`
	var b strings.Builder
	if err := writeTable(&b, newResult()); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The chart is well-formed, has a bar for each ratio, and says who failed.
func TestChart(t *testing.T) {
	var texts []string
	bars := 0
	d := xml.NewDecoder(strings.NewReader(chart(newResult())))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			texts = append(texts, string(token))
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local == "class" && (a.Value == "bar" || a.Value == "ours") {
					bars++
				}
			}
		}
	}
	if bars != 5 {
		t.Errorf("there are %d bars, not 5", bars)
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"FAILED", "0.75", "1.06", "64 B & more"} {
		if !strings.Contains(all, want) {
			t.Errorf("there is no %q in it", want)
		}
	}
	if strings.Contains(all, peerNginx+"\nFAILED") {
		t.Error("who is not installed has not failed")
	}
}

// Bars name rows and peers that there are.
func TestBarsExist(t *testing.T) {
	known := make(map[string]bool)
	for _, w := range (toolbox{}).rows() {
		known[w.name] = true
		for _, p := range w.own {
			known[p.name] = true
		}
	}
	for _, p := range (toolbox{}).peers(t.Context()) {
		known[p.name] = true
	}
	for _, b := range bars() {
		if !known[b.row] || b.than != "" && !known[b.than] || b.of != "" && !known[b.of] {
			t.Errorf("%s: %s: no such row or peer", b.row, b)
		}
	}
}
