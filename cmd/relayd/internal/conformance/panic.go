package conformance

import (
	"fmt"

	"relayd/lifetime"
)

// stagePanics is row 42.
func stagePanics(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	if err := s.panicInStage(); err != nil {
		return err
	}
	s.done["W"] = true
	if got := peerSees(c.ctx, s); !s.matches(got, "RST") {
		c.differ("the peer saw %s; want a reset", got)
	}
	if e := s.w.Resource().End(); e != lifetime.Failed {
		c.differ("W ended as %v; want failed", e)
	}
	if err := s.play(dropR, "ok; done R"); err != nil {
		return fmt.Errorf("drop R: %w", err)
	}
	if err := s.play(dropP, "ok; done P"); err != nil {
		return fmt.Errorf("drop P: %w", err)
	}
	return s.finale()
}

// panicInStage runs a stage that writes a part of its stream and panics.
func (s *scene) panicInStage() (err error) {
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	if s.w, err = s.l.send(); err != nil {
		return err
	}
	over := make(chan struct{})
	go s.panicking(over)
	<-over
	return nil
}

func (s *scene) panicking(over chan<- struct{}) {
	defer close(over)
	defer func() { recover(); s.w.Abort() }()
	n, _ := s.w.Write(zeros[:6])
	s.wrote += n
	panic("a stage's bug")
}

// stagePanicsThenShut is row 42's shutdown.
func stagePanicsThenShut(c *cell) error {
	for _, p := range policies {
		s, err := c.scene(p)
		if err != nil {
			return err
		}
		if err = s.panicInStage(); err == nil {
			err = s.force()
		}
		s.abandon()
		if err != nil {
			return fmt.Errorf("under %v: %w", p, err)
		}
	}
	return nil
}
