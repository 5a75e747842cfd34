package relay

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"relayd/lifetime"
)

// Alive reports whether the server does its work, for a watchdog: it returns
// nil, or what stands still. Every event loop must turn before ctx ends, and no
// listener may leave connections waiting for long while it accepts nothing. It
// is to be called again and again: a listener is compared with what it was at
// the call before. A server that drains need not accept; one that has ended is
// as it should be.
func (s *Server) Alive(ctx context.Context) error {
	if s.loops != nil && !s.ended() {
		if err := s.loops.Ping(ctx); err != nil && !s.ended() {
			return err
		}
	}
	if s.Draining() {
		return nil
	}
	for _, a := range s.acceptorList() {
		if err := a.pulse.feel(a.l.Waits(), time.Now()); err != nil {
			return fmt.Errorf("listener %s: %w", a.name(), err)
		}
	}
	return nil
}

// ended reports whether the server has: its loops are stopped, or are about to
// be.
func (s *Server) ended() bool { return s.node.State() == lifetime.Released }

// A pulse tells whether an acceptor does anything.
type pulse struct {
	beats atomic.Int64 // it has accepted, or tried to

	mu    sync.Mutex
	felt  int64     // beats at the last look
	still time.Time // since when somebody waits and there is no beat; or zero
}

// stillness is how long connections may wait with nothing accepted: a multiple
// of the longest pause after an accept that failed.
const stillness = 3 * acceptPauseMax

// feel compares p with how it was before, given whether connections wait.
func (p *pulse) feel(waits bool, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	beats := p.beats.Load()
	switch {
	case !waits || beats != p.felt:
		p.still = time.Time{}
	case p.still.IsZero():
		p.still = now
	}
	p.felt = beats
	if waited := now.Sub(p.still); !p.still.IsZero() && waited >= stillness {
		return fmt.Errorf("connections have waited for %v, and none was accepted", waited.Round(time.Millisecond))
	}
	return nil
}
