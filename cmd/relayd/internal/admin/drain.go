package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// How often the progress of a drain is told: at every change, but not more often
// than this, and after a while without one.
const (
	progressEvery = 200 * time.Millisecond
	progressAlive = 5 * time.Second
)

// drain begins one.
func (s *Server) drain(r *request) error {
	q := r.body.(*DrainRequest)
	timeout, err := optional("timeout_seconds", q.Timeout)
	if err != nil {
		return err
	}
	spread, err := optional("spread_seconds", q.Spread)
	if err != nil {
		return err
	}
	if !s.Drainer.Drain(timeout, spread) {
		e := fail(http.StatusConflict, "draining", "a drain is under way already")
		e.Hint = "GET /v1/drain says how far it is"
		return e
	}
	return r.answer(http.StatusAccepted, s.Drainer.Progress())
}

// maxDrain is more than anybody waits, and less than what a duration holds.
const maxDrain = 10 * 365 * 24 * time.Hour

func optional(name string, s *Seconds) (*time.Duration, error) {
	if s == nil {
		return nil, nil
	}
	if !(*s >= 0 && *s <= seconds(maxDrain)) {
		return nil, badRequest("%s: %v is not a number of seconds", name, *s)
	}
	d := s.Duration()
	return &d, nil
}

// drainProgress answers once, or, to who asks for text/event-stream, at every
// change until the drain is over, or the relay ends.
func (s *Server) drainProgress(r *request) error {
	if !wantsEvents(r.Request) {
		return r.answer(http.StatusOK, s.Drainer.Progress())
	}
	r.w.Header().Set("Content-Type", "text/event-stream")
	r.w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var last Drain
	var told time.Time
	for {
		p := s.Drainer.Progress()
		same := p.Live == last.Live && p.Cut == last.Cut && p.Draining == last.Draining && p.Over == last.Over
		if !same || time.Since(told) >= progressAlive {
			if err := r.event(p); err != nil {
				return nil // the client has gone
			}
			last, told = p, time.Now()
		}
		if p.Over {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.Drainer.Over():
		case <-r.Context().Done():
			return nil
		case <-s.ctx.Done():
			if !s.Drainer.Progress().Over { // it ends with the drain, whose end is still to be told
				return nil
			}
		}
	}
}

// wantsEvents reports whether a request is for events, rather than for an answer.
func wantsEvents(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// event sends a server-sent event; its name is "progress", or "over" for the
// last one.
func (r *request) event(p Drain) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	name := "progress"
	if p.Over {
		name = "over"
	}
	if _, err := fmt.Fprintf(r, "event: %s\ndata: %s\n\n", name, text); err != nil {
		return err
	}
	return r.flush()
}
