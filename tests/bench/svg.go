// A chart is the ratios of a result as a picture.

package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Lengths of the chart, in pixels.
const (
	chartNames  = 150 // for the names of relays
	chartScale  = 480 // from 0 to the largest ratio on the scale
	chartValues = 70  // for the figures after the bars
	chartTop    = 74
	chartTitle  = 26 // of a row
	chartBar    = 16
	chartGap    = 12 // after a row
	chartEdge   = 16
)

// chartStyle has the colours for light and for dark pages. Relayd stands out,
// the others have their names beside them.
const chartStyle = `
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600; font-size: 15px }
.row { font-weight: 600 }
.note { fill: #57606a }
.page { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
.direct { stroke: #57606a; stroke-width: 1; stroke-dasharray: 4 3 }
.bar { fill: #a8b1bb }
.ours { fill: #0969da }
.also { fill: #80b3ec }
.failed { fill: #cf222e; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .page { fill: #0d1117 }
  .grid { stroke: #30363d }
  .direct { stroke: #9198a1 }
  .bar { fill: #5b6570 }
  .ours { fill: #4493f8 }
  .also { fill: #2a5a9c }
  .failed { fill: #ff7b72 }
}
`

// chart draws for each row with a rate how much of direct each relay keeps.
func chart(r *result) string {
	rows := chartRows(r)
	largest := 1.0
	height := chartTop + chartEdge
	for _, w := range rows {
		height += chartTitle + chartBar*len(chartCells(w)) + chartGap
		for _, c := range w.Cells {
			if ratio, ok := w.ratio(rate, c.Peer, peerDirect); ok {
				largest = max(largest, ratio)
			}
		}
	}
	width := chartEdge + chartNames + chartScale + chartValues
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<style>%s</style>\n", chartStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	writeText(&b, chartEdge, 28, "head", "What a relay keeps of a connection without one")
	writeText(&b, chartEdge, 46, "note", fmt.Sprintf("bytes or operations a second, as a share of direct; more is better; %s, %d cores", r.Kernel, r.Cores))
	writeGrid(&b, largest, height)
	y := chartTop
	for _, w := range rows {
		y = writeGroup(&b, w, y, largest)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// chartRows are those with a rate, and something to compare it with.
func chartRows(r *result) (rows []*rowResult) {
	for _, w := range r.Rows {
		if w.Missing == "" && w.row.kind != byMemory && w.cell(peerDirect).ok() {
			rows = append(rows, w)
		}
	}
	return rows
}

// chartCells are the relays of a row that were run.
func chartCells(w *rowResult) (cells []*cell) {
	for _, c := range w.Cells {
		if c.Peer != peerDirect && c.Missing == "" {
			cells = append(cells, c)
		}
	}
	return cells
}

// chartX is where a ratio is on the scale.
func chartX(ratio, largest float64) float64 {
	return chartEdge + chartNames + chartScale*ratio/largest
}

func writeGrid(b *strings.Builder, largest float64, height int) {
	for quarter := range int(largest*4) + 1 {
		ratio := float64(quarter) / 4
		class := "grid"
		label := fmt.Sprintf("%g", ratio)
		if quarter == 4 {
			class, label = "direct", "direct"
		}
		x := chartX(ratio, largest)
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", class, x, chartTop, x, height-chartEdge)
		fmt.Fprintf(b, `<text class="note" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, chartTop-6, label)
	}
}

// writeGroup draws a row from y on, and returns where the next one begins.
func writeGroup(b *strings.Builder, w *rowResult, y int, largest float64) int {
	fmt.Fprintf(b, `<rect class="page" x="%d" y="%d" width="%d" height="%d"/>`+"\n", chartEdge, y+3, chartNames+chartScale+chartValues-2*chartEdge, chartTitle-6)
	fmt.Fprintf(b, `<text x="%d" y="%d"><tspan class="row">%s</tspan><tspan class="note" dx="8">%s</tspan></text>`+"\n",
		chartEdge, y+18, escape(w.Name), escape(w.Title))
	y += chartTitle
	for _, c := range chartCells(w) {
		baseline := y + chartBar - 4
		writeText(b, chartEdge+12, baseline, "", c.Peer)
		ratio, ok := w.ratio(rate, c.Peer, peerDirect)
		if ok {
			length := chartX(ratio, largest) - chartX(0, largest)
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
				barClass(c.Peer), chartX(0, largest), y+2, length, chartBar-4)
			writeText(b, int(chartX(ratio, largest))+5, baseline, "", fmt.Sprintf("%.2f", ratio))
		} else {
			writeText(b, int(chartX(0, largest))+5, baseline, "failed", "FAILED")
		}
		y += chartBar
	}
	return y + chartGap
}

func barClass(peer string) string {
	switch peer {
	case peerRelayd:
		return "ours"
	case peerGoroutines:
		return "also"
	}
	return "bar"
}

func writeText(b *strings.Builder, x, y int, class, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a Builder takes everything
	}
	return b.String()
}
