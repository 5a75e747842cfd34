package relay

import (
	"context"
	"time"

	"relayd/lifetime"
)

// errDrained is the cause of the shutdown that ends a drain.
var errDrained error = ending(Drained)

// patience bounds how long a forced end may take: everything was woken, so
// whatever is not gone by then is stuck in a stage of its own.
const patience = 5 * time.Second

// A DrainResult says how a drain ended.
type DrainResult struct {
	Cut  int // conns that were ended by force
	Left []lifetime.Info
}

// Drain ends the server:
//
//  1. stop accepting; what the listeners' backlogs hold is accepted first
//  2. close the listeners
//  3. wait for the live conns, each to its own end
//  4. when ctx ends, cut those that are left: shut them down
//  5. report how many were cut
//
// It returns an error only if something could not be ended by force; Left then
// names it.
func (s *Server) Drain(ctx context.Context) (DrainResult, error) {
	return s.DrainWithin(ctx, 0, 0)
}

// DrainWithin is Drain with a deadline of its own for step 3: after wait, those
// that are left are cut one after the other, the oldest first, evenly over
// spread, so that their clients do not all come back at once. Step 4 is still
// there: when ctx ends, however far that is, the rest is cut at once. A wait of 0
// or less is no deadline, and a spread of 0 or less no time at all.
func (s *Server) DrainWithin(ctx context.Context, wait, spread time.Duration) (DrainResult, error) {
	s.stopAccepting()
	waiting, stop := ctx, context.CancelFunc(func() {})
	if wait > 0 {
		waiting, stop = context.WithTimeout(ctx, wait)
	}
	s.node.Drop(waiting)
	// When several drain, only one of their drops waits to the end.
	select {
	case <-s.done:
	case <-waiting.Done():
	}
	stop()
	if spread > 0 && ctx.Err() == nil {
		s.cutOver(ctx, spread)
	}
	return s.cutNow()
}

// cutOver is step 4 in its time. It returns when all are cut, or ctx has ended, or the last
// conn has by itself.
func (s *Server) cutOver(ctx context.Context, spread time.Duration) {
	s.node.BeginDrop() // which ends with the last conn
	conns := connKind.Below(&s.node)
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for cut := 0; cut < len(conns); {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-s.done:
			return
		}
		passed := time.Since(began)
		for cut < len(conns) && passed >= turn(cut, len(conns), spread) {
			conns[cut].end(Drained) // unless it has ended
			conns[cut] = nil
			cut++
		}
		if cut < len(conns) {
			timer.Reset(max(turn(cut, len(conns), spread)-passed, cutEvery))
		}
	}
}

// cutEvery is the least time between two turns: more conns than one may have
// the same.
const cutEvery = time.Millisecond

// turn returns when the conn i of n is to be cut: the last one at the end.
func turn(i, n int, spread time.Duration) time.Duration {
	return time.Duration(float64(spread) * float64(i+1) / float64(n))
}

// cutNow is step 4 at once, and step 5.
func (s *Server) cutNow() (DrainResult, error) {
	select {
	case <-s.done:
		return DrainResult{Cut: int(s.cut.Load())}, nil
	default:
	}
	force, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	r, err := s.node.Shutdown(force, errDrained)
	if err != nil {
		return DrainResult{Cut: int(s.cut.Load()) + s.Live(), Left: r.Holders}, err
	}
	// Counted as they end: those that came to their own end just before are none.
	<-s.done
	return DrainResult{Cut: int(s.cut.Load())}, nil
}

// stopAccepting is steps 1 and 2.
func (s *Server) stopAccepting() {
	s.stopOnce.Do(s.stop)
	s.accepting.Wait()
	s.closeListeners()
}

func (s *Server) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	close(s.stopping)
	for _, a := range s.acceptorList() {
		<-a.begun // a reload may just be there
		a.l.Stop()
	}
}

// Cut returns how many conns a drain has ended by force so far.
func (s *Server) Cut() int { return int(s.cut.Load()) }

// Draining reports whether the server accepts no more.
func (s *Server) Draining() bool {
	select {
	case <-s.stopping:
		return true
	case <-s.node.Done():
		return true
	default:
		return false
	}
}
