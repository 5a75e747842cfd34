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
//  4. when ctx ends, shut down those that are left
//  5. report how many were cut
//
// It returns an error only if something could not be ended by force; Left then
// names it.
func (s *Server) Drain(ctx context.Context) (DrainResult, error) {
	s.stopAccepting()
	s.node.Drop(ctx)
	// When several drain, only one of their drops waits to the end.
	select {
	case <-s.done:
		return DrainResult{}, nil
	case <-ctx.Done():
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
	close(s.stopping)
	for _, l := range s.listeners {
		l.Stop()
	}
}

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
