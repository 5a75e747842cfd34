package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// ownShutdown is row 47.
func ownShutdown(c *cell) error {
	return c.playScript(script{
		each(acquireR, "ok"),
		each(readR, "waits"),
		each(shutP, "report; read R=shutdown; done P R"),
		each(endR, "shutdown"),
		each(endP, "shutdown"),
	})
}

// shutByID is row 33.
func shutByID(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	id := s.l.p.ID()
	if err := s.play(dropP, map[column]string{refcount: "left R", block: "waits"}[c.column]); err != nil {
		return err
	}
	var report socket.Report
	if c.kind == library {
		found := (*lifetime.Node)(nil).Find(id)
		if found != s.l.p {
			return errors.New("no P is found by its id")
		}
		report, err = s.l.shutdown(c.ctx, errCell)
	} else {
		found, ok := socket.Find(id)
		if !ok || found != s.l.sock {
			return errors.New("no P is found by its id")
		}
		report, err = found.Shutdown(c.ctx, errCell)
	}
	if err != nil {
		return err
	}
	if why := c.proof(report, c.proven()); why != "" {
		c.differ("%s", why)
	}
	if len(report.Holders) != 1 || report.Holders[0].ID != s.r.Resource().ID() {
		c.differ("the report lists %d holders; want R", len(report.Holders))
	}
	c.expect("use R", s.r.Resource().Enter(), "shutdown")
	if c.column == block {
		if err := s.endOf("drop P", "shutdown"); err != nil {
			return err
		}
	}
	if (*lifetime.Node)(nil).Find(id) != nil {
		c.differ("P is found by its id after its release")
	}
	return s.l.released()
}

// holderSpins is row 34.
func holderSpins(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	n := s.r.Resource()
	if err := n.Enter(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Millisecond)
	defer cancel()
	report, err := s.l.shutdown(ctx, errCell)
	if !errors.Is(err, lifetime.ErrHoldersAlive) || !strings.Contains(fmt.Sprint(err), n.Name()) {
		c.differ("the context ended first: %v; want holders alive, and %s among them", err, n.Name())
	}
	if report.Kernel != c.proven() && c.kind.tcp() {
		c.differ("the kernel's state is %s (%s), though the connection needs nobody to leave", report.Kernel, report.Why)
	}
	if report.State != lifetime.Closing {
		c.differ("the report so far says %v; want closing", report.State)
	}
	if c.kind != library {
		if got := peerSees(c.ctx, s); !s.matches(got, "RST") {
			c.differ("before the holder left the peer saw %s; want a reset", got)
		}
	}
	n.Leave()
	final, err := s.l.shutdown(c.ctx, nil)
	if err != nil || final.State != lifetime.Released || final.Cause != errCell {
		c.differ("after the holder left: %v, %v, cause %v", final.State, err, final.Cause)
	}
	return s.l.released()
}
