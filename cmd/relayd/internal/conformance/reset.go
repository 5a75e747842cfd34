package conformance

import (
	"errors"
	"fmt"
	"syscall"
)

// Row 46, and beside it a plain reader. The kernel tells a reset once.

func resetNotEnd(c *cell) error {
	n := 0
	err := c.each(func(s *scene) error { n++; return s.resetNotEnd(n%2 == 0) })
	if err != nil || c.kind == library {
		return err
	}
	c.note("%d resets, half of them met by Write first and half by either: Read took none for an end", c.rounds)
	if c.column == refcount && c.kind != tlsKind {
		return c.naiveReset()
	}
	return nil
}

func (s *scene) resetNotEnd(writeFirst bool) (err error) {
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	if s.w, err = s.l.send(); err != nil {
		return err
	}
	s.l.peer.reset()
	var wrote string
	var read error
	if writeFirst {
		wrote = writeUntilError(s.c.ctx, s)
		_, read = s.r.Read(make([]byte, 1))
	} else {
		race(
			func() { wrote = writeUntilError(s.c.ctx, s) },
			func() { _, read = s.r.Read(make([]byte, 1)) },
		)
	}
	if wrote != "reset" || s.c.word(read) != "reset" {
		return fmt.Errorf("the first Write was told %s, the first Read %s; want reset twice", wrote, s.c.word(read))
	}
	if _, read = s.r.Read(make([]byte, 1)); s.c.word(read) != "reset" {
		return fmt.Errorf("a later Read was told %s; want reset", s.c.word(read))
	}
	s.r.Drop(s.c.ctx)
	s.w.Drop(s.c.ctx)
	dropNode(s.c.ctx, s.l)
	return s.c.released(s.l.p)
}

// naiveReset counts how often a plain Read takes a reset for an end.
func (c *cell) naiveReset() error {
	fooled := 0
	for range c.rounds {
		ours, theirs, err := c.pair()
		if err != nil {
			return err
		}
		netPeer{theirs}.reset()
		for err == nil {
			_, err = ours.Write(zeros[:1])
		}
		if _, err := readAll(ours, make([]byte, 64)); err == nil {
			fooled++
		} else if !errors.Is(err, syscall.ECONNRESET) {
			c.differ("the plain reader saw %v", err)
		}
		ours.Close()
	}
	c.noteNaive("a plain net.Conn: %s of %d resets that Write met first were read as a clean end", percent(fooled, c.rounds), c.rounds)
	return nil
}

// resetThenShut is row 46's shutdown.
func resetThenShut(c *cell) error {
	for _, p := range policies {
		s, err := c.scene(p)
		if err != nil {
			return err
		}
		err = s.steps(script{each(acquireR, "ok"), each(acquireW, "ok"), each(peerRST, "ok"), each(writeE, "reset"), each(readR, "reset")})
		if err == nil {
			err = s.force()
		}
		s.abandon()
		if err != nil {
			return fmt.Errorf("under %v: %w", p, err)
		}
	}
	return nil
}

// acquireAfterReset is the second half of row 17.
func acquireAfterReset(c *cell) error {
	var reset script
	if c.kind == unix { // Linux resets it when its peer closes with bytes unread
		reset = script{each(acquireW, "ok"), each(writeW, "ok"), each(peerRST, "ok"), each(dropW, "ok; done W")}
	} else {
		reset = script{each(peerRST, "ok")}
	}
	return c.playScript(append(reset,
		each(acquireR, "ok"),
		each(readR, "reset"),
		each(dropR, "ok; done R"),
		each(endR, "failed"),
		each(dropP, "ok; done P"),
	))
}
