package relay

import (
	"context"
	"errors"

	"relayd/lifetime"
	"relayd/socket"
)

// ErrNoConn is what a kill of a conn that does not live, or never did, returns.
var ErrNoConn = errors.New("no such conn")

// A KillReport says what a kill did, and proves it.
type KillReport struct {
	ID   string
	Conn lifetime.Report // Released, if all is gone
	// Client and Upstream are the proofs. Upstream is nil if the conn had not
	// reached it, and both are if the conn was to finish, or was being accepted
	// that moment.
	Client, Upstream *socket.Report
}

// Kill shuts a conn down at once: both peers see a reset, and what was read and
// not delivered is lost, and counted. It waits until everything is released and
// the kernel was asked whether the connections are gone. When ctx ends first,
// the error is [lifetime.ErrHoldersAlive], and the report says who.
func (s *Server) Kill(ctx context.Context, id string) (KillReport, error) {
	c := s.find(id)
	if c == nil {
		return KillReport{ID: id}, ErrNoConn
	}
	r := KillReport{ID: id}
	cause := ending(Killed)
	ends := []*socket.Socket{&c.client, &c.upstream}
	proofs := make([]chan *socket.Report, len(ends))
	for i, isThere := range []uint32{opened, relaying} {
		if c.bits.Load()&isThere != 0 {
			// Both are looked up before one end takes the other with it.
			ends[i].Identify()
			proofs[i] = make(chan *socket.Report, 1)
		}
	}
	for i, proof := range proofs {
		if proof != nil {
			go shutDownSocket(ctx, ends[i], cause, proof)
		}
	}
	var err error
	r.Conn, err = c.node.Shutdown(ctx, cause)
	for i, to := range []**socket.Report{&r.Client, &r.Upstream} {
		if proofs[i] != nil {
			*to = <-proofs[i]
		}
	}
	if err == nil {
		s.ledger.shutdowns.add(r.Conn.Took)
	}
	return r, err
}

// shutDownSocket waits for the end of one socket. If it has none in time, the
// conn's own report says so, too.
func shutDownSocket(ctx context.Context, s *socket.Socket, cause error, done chan<- *socket.Report) {
	r, _ := s.Shutdown(ctx, cause)
	done <- &r
}

// Finish ends a conn gracefully: nothing more is read from either side, what was
// read is delivered, both sides get a FIN, and what they still send is thrown
// away. It waits until everything is released: Linger and MaxLinger bound that.
// When ctx ends first, the conn is shut down.
func (s *Server) Finish(ctx context.Context, id string) (KillReport, error) {
	c := s.find(id)
	if c == nil {
		return KillReport{ID: id}, ErrNoConn
	}
	if !c.beginFinish(Killed) {
		return s.Kill(ctx, id)
	}
	select {
	case <-c.node.Done():
	case <-ctx.Done():
		c.end(Killed)
	}
	now, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	r, err := c.node.Shutdown(now, ending(Killed))
	return KillReport{ID: id, Conn: r}, err
}

// beginFinish is Finish that does not wait. It reports false if there is nobody to
// finish with.
func (c *conn) beginFinish(r Reason) bool {
	if c.bits.Or(finishing)&relaying == 0 {
		return false
	}
	c.failed(r, Us, nil)
	c.up.dropSrc(c)
	c.down.dropSrc(c)
	return true
}
