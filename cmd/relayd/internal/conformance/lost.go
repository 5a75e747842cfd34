package conformance

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"relayd/lifetime"
)

// Row 40. A lent is a handle that was given to somebody who may forget it.
type lent struct{ r reader }

// leakMu guards the process's leak level while a cell has it.
var leakMu sync.Mutex

// loseHandle loses R under the collector's eyes.
func loseHandle(c *cell) error {
	leakMu.Lock()
	defer leakMu.Unlock()
	var lost atomic.Pointer[lifetime.Info]
	id := atomic.Uint64{}
	lifetime.SetLeakLevel(lifetime.LeakReport, func(i lifetime.Info) {
		if i.ID == id.Load() {
			lost.Store(&i)
		}
	})
	defer lifetime.SetLeakLevel(lifetime.LeakOff, nil)
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	if err := s.lend(&id); err != nil {
		return err
	}
	want := map[column]string{refcount: "left R", trap: "trap R; done P R", closeChildren: "ok...; done P R", block: "waits"}
	if err := s.play(dropP, want[c.column]); err != nil {
		return fmt.Errorf("drop P: %w", err)
	}
	if c.column == refcount || c.column == block {
		if err := s.collected(&lost); err != nil {
			return err
		}
	}
	if c.column == block {
		if err := s.endOf("drop P", "ok..."); err != nil {
			return err
		}
	}
	return s.finale()
}

// lend takes R and gives it away. Nothing but the lent handle remembers it.
//
//go:noinline
func (s *scene) lend(id *atomic.Uint64) error {
	r, err := s.l.receive()
	if err != nil {
		return err
	}
	s.r = r
	id.Store(r.Resource().ID())
	h := &lent{r}
	lifetime.Watch(h, r.Resource())
	runtime.KeepAlive(h)
	return nil
}

// collected waits for the collector's report.
func (s *scene) collected(lost *atomic.Pointer[lifetime.Info]) error {
	if !s.c.poll(func() bool { runtime.GC(); return lost.Load() != nil }) {
		return errors.New("the loss was not reported")
	}
	i := lost.Load()
	if i.End != lifetime.Lost || !strings.Contains(i.Stack, "lend") {
		return fmt.Errorf("the report says %v, made at:\n%s", i.End, i.Stack)
	}
	s.done["P"], s.done["R"] = true, true
	if err := s.doneNow(nil); err != nil {
		return fmt.Errorf("after the report: %w", err)
	}
	if e := s.r.Resource().End(); e != lifetime.Lost {
		return fmt.Errorf("the end of R is %v; want lost", e)
	}
	return nil
}

// loseThenShut is row 40's shutdown: the lost one is ended like any other.
func loseThenShut(c *cell) error { return c.takeThenShut(nil) }

// parkThenShut is row 41's.
func parkThenShut(c *cell) error { return c.takeThenShut(make(chan reader, 1)) }

// takeThenShut takes R, parks it if there is where, drops P where that leaves it,
// and shuts P down.
func (c *cell) takeThenShut(park chan reader) error {
	for _, p := range policies {
		s, err := c.scene(p)
		if err != nil {
			return err
		}
		if s.r, err = s.l.receive(); err != nil {
			return err
		}
		if park != nil {
			park <- s.r
			<-park
		}
		if p == refcount {
			if err := s.play(dropP, "left R"); err != nil {
				return err
			}
		}
		err = s.force()
		s.abandon()
		if err != nil {
			return fmt.Errorf("under %v: %w", p, err)
		}
	}
	return nil
}

// grace is what row 41 gives a forgotten child.
const grace = 50 * time.Millisecond

// parkHandle is row 41.
func parkHandle(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	parked := make(chan reader, 1)
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	parked <- s.r
	s.l.p.SetGrace(grace)
	want := map[column]string{refcount: "left R", trap: "trap R; done P R", closeChildren: "ok...; done P R", block: "waits"}
	if err := s.play(dropP, want[c.column]); err != nil {
		return fmt.Errorf("drop P: %w", err)
	}
	switch c.column {
	case refcount:
		return s.graceFires()
	case block:
		if err := s.play(expireP, "ok; drop P=alive R"); err != nil {
			return err
		}
		c.expect("drop R", (<-parked).Drop(c.ctx), "ok")
		s.done["R"] = true
		if err := s.play(dropP, "ok...; done P"); err != nil {
			return err
		}
	}
	return s.finale()
}

// graceFires waits for the end of the grace, before which R is listed as what
// holds P.
func (s *scene) graceFires() error {
	listed := false
	for _, i := range lifetime.Snapshot(s.l.p) {
		if i.ID == s.r.Resource().ID() && i.Owned && i.State == lifetime.Live {
			listed = true
		}
	}
	if !listed && s.l.p.State() == lifetime.Live {
		s.c.differ("R holds P and is not listed")
	}
	if err := s.c.released(s.l.p); err != nil {
		return err
	}
	if e := s.r.Resource().End(); e != lifetime.ShutDown {
		return fmt.Errorf("after the grace R ended as %v; want shutdown", e)
	}
	if e := s.l.p.End(); e != lifetime.ShutDown {
		return fmt.Errorf("after the grace P ended as %v; want shutdown", e)
	}
	return s.l.released()
}
