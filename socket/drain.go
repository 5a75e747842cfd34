package socket

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"relayd/lifetime"
)

// Draining is what stands between the last drop and the close. Closing a
// descriptor with unread bytes resets the connection and destroys what the peer
// has not read yet (RFC 2525, 2.17), so the socket sends FIN, throws away what
// the peer still sends, and closes after the peer's FIN.
const (
	// defaultLinger is how long a socket drains without progress, which is a
	// fall of the send queue. What the peer sends is not progress: it may go
	// on for ever.
	defaultLinger = 2 * time.Second
	// defaultMaxLinger caps a drain that makes progress.
	defaultMaxLinger = 15 * time.Minute
	// lingerTick is how often progress is looked for; at first it is more
	// often, because most peers are about to be through.
	lingerTick    = 100 * time.Millisecond
	lingerTickMin = time.Millisecond

	// discardLive and discardDraining are how many bytes are thrown away for a
	// read half that was dropped, while the write half lives and after it: a
	// peer that sends more is reset.
	discardLive     = 64 << 20
	discardDraining = 16 << 20
)

// A lingering is how long a socket drains: without progress, and in all.
type lingering struct{ idle, max time.Duration }

var defaultLingering = lingering{defaultLinger, defaultMaxLinger}

// lingering returns what at asks for, nil for the defaults.
func (at At) lingering() *lingering {
	if at.Linger == 0 && at.MaxLinger == 0 {
		return nil
	}
	l := lingering{cmp.Or(at.Linger, defaultLinger), cmp.Or(at.MaxLinger, defaultMaxLinger)}
	if l.max < 0 {
		l.max = math.MaxInt64
	}
	if l == defaultLingering {
		return nil
	}
	return &l
}

// lingering returns how long s drains.
func (s *Socket) lingering() lingering {
	if x := s.rare.Load(); x != nil && x.linger != nil {
		return *x.linger
	}
	return defaultLingering
}

// A TruncatedError is the end of a socket whose peer did not take all that was
// written within the time that a drain has, or left with a reset before that.
type TruncatedError struct {
	Unsent int // bytes that were written and not acknowledged
}

// Error says how much was lost.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("truncated: the peer left %d bytes unacknowledged", e.Unsent)
}

// owed reports whether closing now could cost the peer bytes that we accepted.
// After its FIN, and with nothing unacknowledged, it cannot, and the close is the
// FIN if that is not out.
func (s *Socket) owed() bool {
	if _, ok := s.t.(concluder); ok {
		return true
	}
	if s.failure() != nil || !s.t.drains() {
		return false
	}
	if _, ok := s.t.(farewell); ok && !s.marks.has(writeTaken) {
		return true // the close is no farewell
	}
	if s.marks.has(sawEOF) {
		return s.t.unsent() > 0
	}
	return true
}

// A concluder is a transport with more behind it than a connection. It may owe
// something after the connection has drained.
type concluder interface {
	conclude(ctx context.Context) error
}

// drain finishes the connection after the last drop, and then what is behind it.
func (s *Socket) drain(ctx context.Context) error {
	err := s.drainConnection(ctx)
	if c, ok := s.t.(concluder); ok {
		if cerr := c.conclude(ctx); err == nil {
			err = cerr
		}
	}
	return err
}

func (s *Socket) drainConnection(ctx context.Context) error {
	if s.failure() != nil {
		return nil // there is no connection any more
	}
	_, parts := s.t.(farewell)
	switch {
	case !s.marks.has(writeTaken):
		s.finish() // else the half's own end does, or does not
	case s.marks.has(sawEOF) && (!parts || s.marks.has(finSent)): // a farewell comes before the FIN
		// It may have left the FIN to the close, which now has to wait for
		// what is under way. The FIN need not.
		s.t.CloseWrite()
	}
	discarded := make(chan struct{})
	go s.discardRest(discarded)
	defer s.endDiscarding(discarded)
	if f, ok := s.t.(farewell); ok {
		defer f.cutFarewell() // for whom nobody waits any more
	}

	limits := s.lingering()
	before := s.t.unsent()
	pause := lingerTickMin
	tick := time.NewTimer(pause)
	defer tick.Stop()
	began := time.Now()
	end := (<-chan struct{})(discarded)
	for progress := began; ; {
		select {
		case <-end:
			end = nil // the peer has finished, or there is no connection
			if s.t.unsent() == 0 || s.failure() != nil {
				return s.failure()
			}
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			pause = min(2*pause, lingerTick)
			tick.Reset(pause)
			unsent := s.t.unsent()
			if end == nil && (unsent == 0 || s.gone()) {
				return s.left()
			}
			if unsent < before {
				before, progress = unsent, now
			}
			if now.Sub(progress) < limits.idle && now.Sub(began) < limits.max {
				continue
			}
			if unsent == 0 {
				// The peer has everything: not waiting for its FIN harms nobody.
				s.endDiscarding(discarded)
				s.t.disconnect()
				return nil
			}
			return s.fail(&TruncatedError{unsent})
		}
	}
}

// left is the end of a connection that the system has no more: nil, if the peer
// has acknowledged everything.
func (s *Socket) left() error {
	if n := s.t.unsent(); n > 0 {
		return s.fail(&TruncatedError{n})
	}
	return nil
}

// gone reports whether the system has no connection any more. When the peer has
// finished, nobody reads, who would hear of its reset: it closed with bytes of
// ours unread, or under way.
func (s *Socket) gone() bool {
	k := kernelOf(s.t)
	return k != nil && k.vanished()
}

// endDiscarding ends the discarding and waits for it.
func (s *Socket) endDiscarding(discarded <-chan struct{}) {
	s.stopDiscarding()
	<-discarded
}

// stopDiscarding wakes whoever discards, or is about to.
func (s *Socket) stopDiscarding() {
	s.marks.set(noDiscard)
	s.t.interruptRead()
}

// discardRest throws away what arrives until the peer's FIN or an error, or
// waits for the read half that does so already.
func (s *Socket) discardRest(done chan<- struct{}) {
	defer close(done)
	if s.marks.has(readTaken) {
		<-s.r.node.Done()
	}
	if !s.marks.has(sawEOF) && s.failure() == nil {
		s.discard()
	}
}

// discard throws away what arrives, until the peer's FIN, an error, an
// interrupt, or more than anybody should send to a reader that is gone. The
// half's operations have left.
func (s *Socket) discard() {
	s.t.resumeRead()
	if u := s.given(); u != nil {
		s.unusual().discarded.Add(int64(u.drop()))
	}
	d := discarder{t: s.t}
	for !s.marks.has(noDiscard) {
		n, err := d.next()
		if err == errServed {
			return // a loop still copies to it; what arrives is for the socket's own drain
		}
		if (err == io.EOF || err == ErrNoCloseNotify) && !s.r.reset() {
			// Whether it is whole matters to nobody any more.
			s.marks.set(sawEOF)
		} else if err != nil && !s.marks.has(noDiscard) {
			s.fail(reason(err))
		}
		if err != nil {
			return
		}
		limit := int64(discardLive)
		if s.node.State() != lifetime.Live {
			limit = discardDraining
		}
		if s.unusual().discarded.Add(int64(n)) > limit {
			s.abort(errDiscardLimit)
			return
		}
	}
}
