// A measurement is one load on one relay.

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// figures are what one measurement gives.
type figures struct {
	Rate   float64 `json:"rate"`             // GB/s or ops/s
	CPU    float64 `json:"cpu"`              // s/GB or µs/op, of the relay
	P50    float64 `json:"p50,omitempty"`    // µs
	P99    float64 `json:"p99,omitempty"`    // µs
	Memory float64 `json:"memory,omitempty"` // kB for each connection
	Files  float64 `json:"files,omitempty"`  // descriptors for each connection
}

// A harness is what measurements need.
type harness struct {
	options options
	yard    *yard
	backend *session
}

// A relayError says that a relay has failed. Other errors end the run.
type relayError struct{ err error }

func (e *relayError) Error() string { return e.err.Error() }
func (e *relayError) Unwrap() error { return e.err }

// measure starts a relay for one load, and stops it.
func (h *harness) measure(ctx context.Context, w row, p peer) (figures, error) {
	to, err := h.backend.listen()
	if err != nil {
		return figures{}, err
	}
	limited, cancel := context.WithTimeout(ctx, w.limit(h.options))
	defer cancel()
	j := w.job
	j.Addr, j.Warm, j.Measure = to, h.options.warm(), w.measure(h.options)
	j.Patience = w.limit(h.options) * 4 / 5 // so that the load has time to say what hangs
	if p.command == nil {
		f, err := h.underLoad(limited, w, j, nil)
		if err != nil {
			err = &relayError{err}
		}
		return f, err
	}
	r, err := h.yard.start(limited, p, to.String())
	if err != nil {
		return figures{}, &relayError{err}
	}
	if j.Addr, err = netip.ParseAddrPort(r.addr); err != nil {
		return figures{}, err
	}
	f, err := h.underLoad(limited, w, j, r)
	if err != nil {
		err = &relayError{r.explain(err)}
	}
	if e := h.yard.stop(r); e != nil {
		return figures{}, fmt.Errorf("keeper: %w", e)
	}
	return f, err
}

// underLoad runs a load, and reads the relay's usage between its steps.
func (h *harness) underLoad(ctx context.Context, w row, j job, r *relay) (figures, error) {
	idle, err := r.usage(w)
	if err != nil {
		return figures{}, err
	}
	s, err := startSession(ctx, roleLoad)
	if err != nil {
		return figures{}, err
	}
	defer s.close(true)
	if err := s.job(j); err != nil {
		return figures{}, err
	}
	if _, err := s.step(ctx, stepReady); err != nil {
		return figures{}, err
	}
	if w.kind == byMemory {
		settle(ctx, h.options.settle())
	}
	before, err := r.usage(w)
	if err != nil {
		return figures{}, err
	}
	if err := s.say("measure"); err != nil {
		return figures{}, err
	}
	t, err := s.step(ctx, stepMeasured)
	if err != nil {
		return figures{}, err
	}
	after, err := r.cpu()
	if err != nil {
		return figures{}, err
	}
	if err := s.say("end"); err != nil {
		return figures{}, err
	}
	if _, err := s.step(ctx, stepEnded); err != nil {
		return figures{}, err
	}
	f := w.figures(t, after-before.cpu)
	if w.kind == byMemory {
		f.Memory = float64(before.memory-idle.memory) / 1000 / float64(j.Conns)
		f.Files = float64(before.fds-idle.fds) / float64(j.Conns)
	}
	return f, nil
}

// usage returns the usage of the relay, nothing if there is none. Only for rows
// of memory it includes that, as it takes long.
func (r *relay) usage(w row) (u usage, err error) {
	switch {
	case r == nil:
	case w.kind == byMemory:
		u, err = usageOf(r.cmd.Process.Pid)
	default:
		u.cpu, err = r.cpu()
	}
	return u, err
}

func (r *relay) cpu() (time.Duration, error) {
	if r == nil {
		return 0, nil
	}
	return cpuOf(r.cmd.Process.Pid)
}

// figures turns a tally and the relay's CPU time into figures.
func (w row) figures(t tally, cpu time.Duration) figures {
	f := figures{P50: micros(t.P50), P99: micros(t.P99)}
	switch gb := float64(t.Bytes) / 1e9; {
	case w.kind == byBytes && gb > 0:
		f.Rate, f.CPU = gb/t.Elapsed.Seconds(), cpu.Seconds()/gb
	case w.kind == byOps && t.Ops > 0:
		f.Rate, f.CPU = float64(t.Ops)/t.Elapsed.Seconds(), micros(cpu)/float64(t.Ops)
	}
	return f
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// settle gives a relay a moment to put away what it does not need when it is
// idle.
func settle(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
