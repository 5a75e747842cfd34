// A run is all measurements, in their order.

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// run measures rows, each for all peers in turn.
func (h *harness) run(ctx context.Context, rows []row, peers []peer, p *progress) (*result, error) {
	r := &result{
		Started: time.Now().Round(time.Second),
		Kernel:  kernel(),
		Go:      runtime.Version(),
		Cores:   runtime.NumCPU(),
		Files:   h.yard.files,
		Measure: h.options.measure.String(),
	}
	for _, p := range peers {
		r.Peers = append(r.Peers, peerResult{p.name, p.what, text(p.missing)})
	}
	for _, w := range rows {
		r.Rows = append(r.Rows, h.newRow(w, peers))
	}
	p.begin(r.Rows, h.options)
	for _, w := range r.Rows {
		if err := h.runRow(ctx, w, peers, p); err != nil {
			return nil, err
		}
	}
	p.end()
	r.Took = time.Since(r.Started).Round(time.Second).String()
	r.Bars = judge(r)
	return r, nil
}

// newRow makes the cells of a row, with what cannot be run.
func (h *harness) newRow(w row, peers []peer) *rowResult {
	res := &rowResult{row: w, Name: w.name, Title: w.title, Missing: text(w.missing)}
	if w.missing == nil && h.yard.files < w.files() {
		res.Missing = fmt.Sprintf("%d open files are allowed, and a relay needs %d: raise the hard limit (ulimit -Hn)", h.yard.files, w.files())
	}
	for _, p := range w.peers(peers) {
		if w.kind == byMemory && p.command == nil && p.missing == nil {
			continue // there is no relay whose memory it could be
		}
		if w.command != nil && p.name != peerRelayd && p.name != peerDirect {
			continue
		}
		res.Cells = append(res.Cells, &cell{Peer: p.name, Missing: text(p.missing)})
	}
	return res
}

func (h *harness) runRow(ctx context.Context, w *rowResult, peers []peer, p *progress) error {
	if w.Missing != "" {
		return nil
	}
	byName := make(map[string]peer)
	for _, p := range w.row.peers(peers) {
		byName[p.name] = p
	}
	rounds := w.row.rounds(h.options)
	for round := range rounds {
		for i := range w.Cells {
			c := w.Cells[(i+round)%len(w.Cells)]
			if c.Missing != "" {
				continue
			}
			p.next(w.Name, round+1, rounds, c.Peer)
			if c.Failed != "" {
				continue // once is enough
			}
			by := byName[c.Peer]
			if w.row.command != nil && by.command != nil {
				by.command = w.row.command
			}
			f, err := h.measure(ctx, w.row, by)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var failure *relayError
			switch {
			case errors.As(err, &failure):
				c.Failed = failure.Error()
				p.failed(w.Name, c.Peer, c.Failed)
				continue
			case err != nil:
				return fmt.Errorf("%s, %s: %w", w.Name, c.Peer, err)
			}
			c.Samples = append(c.Samples, f)
		}
	}
	for _, c := range w.Cells {
		c.summarize()
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
