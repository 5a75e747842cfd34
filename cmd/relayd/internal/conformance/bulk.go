package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// Row 9. A close with one unread byte resets the connection, and the reset
// destroys what the peer has not read. A socket drains instead.

// deliverAll drops everything over some megabytes that the peer has not read.
func deliverAll(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	wrote, err := s.fillUnread()
	if err != nil {
		return err
	}
	c.expect("drop R", s.r.Drop(c.ctx), "ok")
	c.expect("drop W", s.w.Drop(c.ctx), "ok")
	k := s.start(dropP)
	got, err := readAll(s.l.peer, make([]byte, 64<<10))
	s.l.peer.Close()
	if err != nil || got != wrote {
		c.differ("the peer got %d of %d bytes, and then %v; want all of them and FIN", got, wrote, err)
	}
	if err := s.compare(k, "ok"); err != nil {
		return fmt.Errorf("drop P: %w", err)
	}
	if err := c.released(s.l.p); err != nil {
		return err
	}
	c.note("a drop: %s of %s delivered, and then FIN", percent(got, wrote), megabytes(wrote))
	if c.column == refcount && c.kind != library && c.kind != tlsKind {
		return c.naiveDelivery()
	}
	return s.l.released()
}

// fillUnread takes both halves, leaves a byte unread for R, and writes for as
// long as the system takes bytes that nobody reads. It returns how many.
func (s *scene) fillUnread() (int, error) {
	var err error
	if s.r, err = s.l.receive(); err != nil {
		return 0, err
	}
	if s.w, err = s.l.send(); err != nil {
		return 0, err
	}
	if _, err := s.l.peer.Write(zeros[:1]); err != nil {
		return 0, err
	}
	if s.l.model != nil {
		return s.w.Write(zeros[:wireLimit])
	}
	if r, ok := s.r.(*socket.ReadHalf); ok {
		s.c.poll(r.Ready)
	}
	to := io.Writer(s.l.conn)
	if s.c.kind == tlsKind {
		to = s.w // what goes past it is not TLS
	}
	return fill(s.l.conn, to)
}

// fillTime is how long a full send queue must have stood still.
const fillTime = 150 * time.Millisecond

// fill writes what the system takes, up to 4 MB, while the peer reads nothing.
func fill(conn net.Conn, to io.Writer) (total int, err error) {
	defer conn.SetWriteDeadline(time.Time{})
	for total < 4<<20 {
		conn.SetWriteDeadline(time.Now().Add(fillTime))
		n, err := to.Write(zeros[:4<<20-total])
		total += n
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return total, nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return total, err
		}
	}
	return total, nil
}

// naiveDelivery is the same with a plain connection and its Close.
func (c *cell) naiveDelivery() error {
	ours, theirs, err := c.pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	defer ours.Close()
	if _, err := theirs.Write(zeros[:1]); err != nil {
		return err
	}
	wrote, err := fill(ours, ours)
	if err != nil {
		return err
	}
	ours.(interface{ CloseWrite() error }).CloseWrite()
	ours.Close()
	got, err := readAll(theirs, make([]byte, 64<<10))
	end := "FIN"
	if err != nil {
		end = "a reset"
	}
	c.noteNaive("a plain Close: %s of %s delivered, and then %s", percent(got, wrote), megabytes(wrote), end)
	return nil
}

func percent(part, whole int) string {
	if part == whole {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// megabytes writes a number of bytes for people.
func megabytes(n int) string {
	if n >= 1e6 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kB", n/1000)
}

// countLoss is row 9's shutdown: what the peer did not get is in the report.
func countLoss(c *cell) error {
	for _, p := range policies {
		s, err := c.scene(p)
		if err != nil {
			return err
		}
		err = s.countLoss()
		s.abandon()
		if err != nil {
			return fmt.Errorf("under %v: %w", p, err)
		}
	}
	return nil
}

func (s *scene) countLoss() error {
	wrote, err := s.fillUnread()
	if err != nil {
		return err
	}
	r, err := s.l.shutdown(s.c.ctx, errCell)
	if err != nil {
		return err
	}
	if why := s.c.proof(r, s.c.proven()); why != "" {
		return errors.New(why)
	}
	got, _ := readAll(s.l.peer, make([]byte, 64<<10))
	least := wrote - got
	if s.c.kind == tlsKind {
		least -= tlsRecord // the one of which a part has arrived
	}
	if s.c.kind.tcp() && (r.Unread != 1 || r.Unsent == 0 || r.Unsent < least) {
		s.c.differ("the report counts %d unread and %d unsent; 1 was unread, and %d of %d were lost", r.Unread, r.Unsent, wrote-got, wrote)
	}
	return s.l.released()
}

// Row 45: the peer reads nothing, its window is closed, and everything is
// dropped.
func slowPeer(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	wrote, err := s.fillUnread()
	if err != nil {
		return err
	}
	c.expect("drop R", s.r.Drop(c.ctx), "ok")
	c.expect("drop W", s.w.Drop(c.ctx), "ok")
	began := time.Now()
	c.expect("drop P", dropNode(c.ctx, s.l), "ok")
	if state := s.l.p.State(); state != lifetime.Draining {
		c.differ("after the last drop P is %v; want draining", state)
	}
	if err := c.released(s.l.p); err != nil {
		return err
	}
	took := time.Since(began)
	if took < 1900*time.Millisecond {
		c.differ("released after %v without progress; want two seconds", took.Round(time.Millisecond))
	}
	var cut *socket.TruncatedError
	if err := s.l.p.Err(); !errors.As(err, &cut) || cut.Unsent <= 0 || cut.Unsent > wrote {
		if c.kind != unix { // whose send queue tells the same, but need not
			c.differ("P ended as %v (%v); want truncated, and how much", s.l.p.End(), err)
		}
	}
	if end := peerSees(c.ctx, s); end == "FIN" || c.kind.tcp() && end != "RST" {
		c.differ("the peer saw %s after a stream that was cut", end)
	}
	return s.l.released()
}

// dropNode drops P, whatever it is.
func dropNode(ctx context.Context, l *link) error {
	_, err := l.p.Drop(ctx)
	return err
}

// slowPeerShut cuts the drain of row 45 with a shutdown.
func slowPeerShut(c *cell) error {
	for _, p := range policies {
		s, err := c.scene(p)
		if err != nil {
			return err
		}
		err = s.cutDrain()
		s.abandon()
		if err != nil {
			return fmt.Errorf("under %v: %w", p, err)
		}
	}
	return nil
}

func (s *scene) cutDrain() error {
	wrote, err := s.fillUnread()
	if err != nil {
		return err
	}
	s.c.expect("drop R", s.r.Drop(s.c.ctx), "ok")
	s.c.expect("drop W", s.w.Drop(s.c.ctx), "ok")
	s.c.expect("drop P", dropNode(s.c.ctx, s.l), "ok")
	r, err := s.l.shutdown(s.c.ctx, errCell)
	if err != nil {
		return err
	}
	if why := s.c.proof(r, s.c.proven()); why != "" {
		return errors.New(why)
	}
	if s.c.kind.tcp() && (r.Unsent == 0 || r.Unsent > wrote) {
		s.c.differ("the report counts %d of %d bytes as lost", r.Unsent, wrote)
	}
	if r.End != lifetime.ShutDown {
		s.c.differ("P ended as %v; want shutdown", r.End)
	}
	return s.l.released()
}
