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
	m := &measuring{harness: h, row: w, main: h.job(w, w.job, to)}
	if w.beside != nil {
		second, err := startSession(limited, roleBackend)
		if err != nil {
			return figures{}, err
		}
		defer second.close(true)
		besideTo, err := second.listen()
		if err != nil {
			return figures{}, err
		}
		m.beside = h.job(w, *w.beside, besideTo)
	}
	if p.command == nil {
		f, err := m.run(limited)
		if err != nil {
			err = &relayError{err}
		}
		return f, err
	}
	m.relay, err = h.yard.start(limited, p, to.String(), m.beside.Addr.String())
	if err != nil {
		return figures{}, &relayError{err}
	}
	f, err := m.through(limited)
	if e := h.yard.stop(m.relay); e != nil {
		return figures{}, fmt.Errorf("keeper: %w", e)
	}
	return f, err
}

// job returns a row's job straight to a backend.
func (h *harness) job(w row, j job, to netip.AddrPort) job {
	j.Addr, j.Warm, j.Measure = to, h.options.warm(), w.measure(h.options)
	j.Patience = w.limit(h.options) * 4 / 5 // so that the load has time to say what hangs
	return j
}

// A measuring is one measurement under way.
type measuring struct {
	*harness
	row          row
	main, beside job // beside has no kind if there is none
	relay        *relay
}

// through sends the loads through the relay.
func (m *measuring) through(ctx context.Context) (f figures, err error) {
	if m.main.Addr, err = netip.ParseAddrPort(m.relay.addr); err != nil {
		return figures{}, err
	}
	if m.beside.Addr, err = plainAddr(m.relay.addr); err != nil {
		return figures{}, err
	}
	if m.row.kind == byMemory {
		err = m.warmUp(ctx)
	}
	if err == nil {
		f, err = m.run(ctx)
	}
	if err != nil {
		err = &relayError{m.relay.explain(err)}
	}
	return f, err
}

// warmUpShare is which part of its connections a relay has had before its memory
// is a baseline: what it makes once, with the first of them, is not for each.
const warmUpShare = 50

// warmUp has a few connections come, do what the others will, and go.
func (m *measuring) warmUp(ctx context.Context) error {
	j := m.main
	j.Conns = max(1, j.Conns/warmUpShare)
	s, err := m.begin(ctx, j)
	if err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	defer s.close(true)
	if _, err := s.measure(ctx); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if err := s.finish(ctx); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	settle(ctx, m.options.settle())
	return nil
}

// begin starts a load, until it is ready.
func (m *measuring) begin(ctx context.Context, j job) (*session, error) {
	s, err := startSession(ctx, roleLoad)
	if err != nil {
		return nil, err
	}
	if err = s.job(j); err == nil {
		_, err = s.step(ctx, stepReady)
	}
	if err != nil {
		s.close(true)
		return nil, err
	}
	return s, nil
}

// run runs the loads, and reads the relay's usage between their steps.
func (m *measuring) run(ctx context.Context) (figures, error) {
	r, w := m.relay, m.row
	idle, err := r.usage(w)
	if err != nil {
		return figures{}, err
	}
	s, err := m.begin(ctx, m.main)
	if err != nil {
		return figures{}, err
	}
	defer s.close(true)
	endBeside, err := m.beginBeside(ctx)
	if err != nil {
		return figures{}, fmt.Errorf("beside: %w", err)
	}
	if w.kind == byMemory {
		settle(ctx, m.options.settle())
	}
	before, err := r.usage(w)
	if err != nil {
		return figures{}, err
	}
	t, err := s.measure(ctx)
	if err != nil {
		return figures{}, err
	}
	after, err := r.cpu()
	if err != nil {
		return figures{}, err
	}
	if err := endBeside(); err != nil {
		return figures{}, fmt.Errorf("beside: %w", err)
	}
	if err := s.finish(ctx); err != nil {
		return figures{}, err
	}
	f := w.figures(t, after-before.cpu)
	if w.kind == byMemory {
		f.Memory = float64(before.memory-idle.memory) / 1000 / float64(w.job.Conns)
		f.Files = float64(before.fds-idle.fds) / float64(w.job.Conns)
	}
	return f, nil
}

// beginBeside lets the load beside run, if there is one. end waits for its end.
func (m *measuring) beginBeside(ctx context.Context) (end func() error, err error) {
	if m.beside.Kind == "" {
		return func() error { return nil }, nil
	}
	s, err := m.begin(ctx, m.beside)
	if err != nil {
		return nil, err
	}
	if err := s.say("measure"); err != nil {
		s.close(true)
		return nil, err
	}
	return func() error {
		defer s.close(true)
		if _, err := s.step(ctx, stepMeasured); err != nil {
			return err
		}
		return s.finish(ctx)
	}, nil
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
