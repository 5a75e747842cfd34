package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"relayd/socket"
)

// The rows that race: 16, 20, 28, 30 and 31. A starter lets two go at once, with
// some microseconds between them that nobody chose.

// jitter burns up to 100µs: a sleep would be longer.
func jitter() {
	for end := time.Now().Add(time.Duration(rand.IntN(100)) * time.Microsecond); time.Now().Before(end); {
	}
}

// race runs the functions at once, and no place in the list is the first.
func race(all ...func()) {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var group sync.WaitGroup
	start := make(chan struct{})
	for _, f := range all {
		group.Go(func() { raced(start, f) })
	}
	close(start)
	group.Wait()
}

func raced(start <-chan struct{}, f func()) {
	<-start
	jitter()
	f()
}

// each runs a round on a fresh scene, as often as the cell says.
func (c *cell) each(round func(*scene) error) error {
	for n := range c.rounds {
		s, err := c.scene(c.policyColumn(n))
		if err != nil {
			return err
		}
		err = round(s)
		s.abandon()
		if err != nil {
			return fmt.Errorf("round %d of %d: %w", n+1, c.rounds, err)
		}
		if c.ctx.Err() != nil {
			return fmt.Errorf("only %d of %d rounds in %v", n+1, c.rounds, patience)
		}
	}
	return nil
}

// policyColumn is the column, and in the shutdown column each policy in turn.
func (c *cell) policyColumn(round int) column {
	if c.column == shutdown {
		return policies[round%len(policies)]
	}
	return c.column
}

// raceAcquire is row 16.
func raceAcquire(c *cell) error { return c.each((*scene).raceAcquire) }

func (s *scene) raceAcquire() error {
	var r reader
	var taken, dropped error
	ctx, cancel := context.WithCancel(s.c.ctx)
	defer cancel()
	waited := make(chan struct{})
	race(
		func() { r, taken = s.l.receive(); s.unblock(r, waited, cancel) },
		func() { dropped = dropNode(ctx, s.l); close(waited) },
	)
	if taken != nil {
		return s.refused(taken, dropped)
	}
	s.r = r
	n := r.Resource()
	want := map[column][2]string{ // of the drop, and of using R after it
		refcount:      {"ok", "ok"},
		trap:          {"trap R", "trapped"},
		closeChildren: {"ok", "closed"},
	}[s.policy]
	if s.policy == block { // R was dropped in unblock, for the drop to return
		want = [2]string{"ok", "dropped"}
	}
	use := n.Enter()
	if use == nil {
		if !holds(s.l.p) {
			return errors.New("a live R, and a P that is not")
		}
		n.Leave()
	}
	if got := [2]string{s.c.word(dropped), s.c.word(use)}; got != want {
		return fmt.Errorf("taken: the drop and the use of R are told %q; want %q", got, want)
	}
	r.Drop(s.c.ctx)
	s.peerLeaves()
	return s.c.released(s.l.p)
}

// unblock lets a block drop go on: it drops what it waits for.
func (s *scene) unblock(r reader, waited <-chan struct{}, _ context.CancelFunc) {
	if s.policy != block && s.policy != closeChildren {
		return
	}
	if s.policy == block && r != nil {
		if err := r.Resource().Enter(); err != nil {
			s.c.differ("R was taken and is dead: %v", err)
		} else {
			r.Resource().Leave()
		}
		r.Drop(s.c.ctx)
	}
	s.peerLeaves()
	<-waited
}

// refused checks a taking that lost.
func (s *scene) refused(taken, dropped error) error {
	want := "dropped"
	if s.policy == trap {
		want = "trap"
	}
	if got := s.c.word(taken); got != want {
		return fmt.Errorf("refused with %s; want %s", got, want)
	}
	if dropped != nil {
		return fmt.Errorf("refused, and the drop of P said %v", dropped)
	}
	s.peerLeaves()
	return s.c.released(s.l.p)
}

// raceDrops is row 20: two drop P at once.
func raceDrops(c *cell) error {
	for _, child := range []bool{false, true} {
		if err := c.each(func(s *scene) error { return s.raceDrops(child) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) raceDrops(child bool) error {
	if child {
		var err error
		if s.r, err = s.l.receive(); err != nil {
			return err
		}
	}
	s.peerLeavesLater()
	var results [2]string
	drop := func(i int) func() {
		return func() { results[i] = s.c.word(dropNode(s.c.ctx, s.l)) }
	}
	all := []func(){drop(0), drop(1)}
	if child && s.policy == block {
		all = append(all, func() { s.r.Drop(s.c.ctx) })
	}
	race(all...)
	wants := [][2]string{{"ok", "dropped"}}
	if s.policy == trap {
		wants = [][2]string{{"ok", "trap"}}
		if child { // both may be too early, and the second may find it trapped
			wants = [][2]string{{"ok", "trap R"}, {"trap R", "trap R"}}
		}
	}
	slices.Sort(results[:])
	if !slices.Contains(wants, results) && !slices.Contains(wants, [2]string{results[1], results[0]}) {
		return fmt.Errorf("two drops were told %q; want one of %q", results, wants)
	}
	if child && s.policy != block {
		s.r.Drop(s.c.ctx)
	}
	return s.c.released(s.l.p)
}

// peerLeavesLater finishes the far end without reading it.
func (s *scene) peerLeavesLater() {
	s.peerGone = true
	s.l.peer.CloseWrite()
}

// raceAcquireShutdown is row 28.
func raceAcquireShutdown(c *cell) error { return c.each((*scene).raceAcquireShutdown) }

func (s *scene) raceAcquireShutdown() error {
	var r reader
	var taken, shut error
	var report socket.Report
	race(
		func() { r, taken = s.l.receive() },
		func() { report, shut = s.l.shutdown(s.c.ctx, errCell) },
	)
	if shut != nil {
		return shut
	}
	if why := s.c.proof(report, s.c.proven()); why != "" {
		return errors.New(why)
	}
	if taken == nil {
		taken = r.Resource().Enter()
	}
	if got := s.c.word(taken); got != "shutdown" {
		return fmt.Errorf("after the shutdown R says %s; want shutdown", got)
	}
	return s.l.released()
}

// raceLastDrop is row 30, and beside it what a plain connection does.
func raceLastDrop(c *cell) error {
	gone := 0
	err := c.each(func(s *scene) error { return s.raceLastDrop(&gone) })
	if err != nil || c.kind == library {
		return err
	}
	c.note("a shutdown against the last drop, %d times: the kernel's connection gone in %s", c.rounds, percent(gone, c.rounds))
	if c.column == refcount && c.kind.tcp() && c.kind != tlsKind && runtime.GOOS == "linux" {
		return c.naiveRace()
	}
	return nil
}

func (s *scene) raceLastDrop(gone *int) (err error) {
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	if s.w, err = s.l.send(); err != nil {
		return err
	}
	probe := probeOf(s.l.conn)
	var report socket.Report
	race(
		func() { s.dropAll() },
		func() { report, err = s.l.shutdown(s.c.ctx, errCell) },
	)
	if err != nil {
		return err
	}
	// The peer has not finished: if the drop won, the socket drains, and the
	// shutdown finds it.
	if why := s.c.proof(report, s.c.proven()); why != "" {
		return errors.New(why)
	}
	if err := s.l.released(); err != nil {
		return err
	}
	if state := probe.state(); state != "" {
		return fmt.Errorf("the kernel still has the connection: %s", state)
	}
	*gone++
	return nil
}

func (s *scene) dropAll() {
	s.w.Drop(s.c.ctx)
	s.r.Drop(s.c.ctx)
	dropNode(s.c.ctx, s.l)
}

// naiveRace is the same with plain connections: a graceful close against an
// abortive one. When the first wins there is nothing left to abort through.
func (c *cell) naiveRace() error {
	left := 0
	for range c.rounds {
		ours, theirs, err := c.pair()
		if err != nil {
			return err
		}
		probe := probeOf(ours)
		tcp := ours.(*net.TCPConn)
		race(
			func() { tcp.CloseWrite(); tcp.Close() },
			func() { tcp.SetLinger(0); tcp.Close() },
		)
		if probe.state() != "" {
			left++
		}
		theirs.Close()
	}
	c.noteNaive("SetLinger(0) and Close against CloseWrite and Close, %d times: the kernel kept the connection in %s", c.rounds, percent(left, c.rounds))
	return nil
}

// raceShutdowns is row 31.
func raceShutdowns(c *cell) error { return c.each((*scene).raceShutdowns) }

func (s *scene) raceShutdowns() (err error) {
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	const callers = 4
	var reports [callers + 1]socket.Report
	var errs [callers + 1]error
	call := func(i int) func() {
		return func() { reports[i], errs[i] = s.l.shutdown(s.c.ctx, errCell) }
	}
	race(call(0), call(1), call(2), call(3))
	call(callers)()
	for i := range reports {
		if errs[i] != nil {
			return errs[i]
		}
		if !sameReport(reports[0], reports[i]) {
			return fmt.Errorf("two reports of one shutdown: %+v and %+v", reports[0], reports[i])
		}
	}
	if why := s.c.proof(reports[0], s.c.proven()); why != "" {
		return errors.New(why)
	}
	return s.l.released()
}
