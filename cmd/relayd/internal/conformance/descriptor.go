package conformance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"relayd/lifetime"
	"relayd/socket"
)

// The rows that are about descriptors: 11, 36 and 39.

// dropListener is row 11.
func dropListener(c *cell) error {
	accepted, err := c.acceptOne(c.column)
	if err != nil {
		return err
	}
	s := &scene{c: c, policy: c.column, l: accepted, done: make(map[string]bool)}
	defer s.abandon()
	waiting := make(chan error, 1)
	go acceptInto(c.source, waiting)
	if !c.poll(func() bool { return operations(c.source.Resource()) > 0 }) {
		return errors.New("the listener's Accept does not wait")
	}
	c.expect("drop the listener", c.source.Drop(c.ctx), "ok")
	c.expect("the Accept that waited", <-waiting, "dropped")
	if err := c.released(c.source.Resource()); err != nil {
		return err
	}
	if err := c.listenAgain(); err != nil {
		return err
	}
	if s.w, err = s.l.send(); err != nil {
		return fmt.Errorf("the accepted socket, after the listener: %w", err)
	}
	if err := s.play(writeW, "ok"); err != nil {
		return err
	}
	c.expect("drop W", s.w.Drop(c.ctx), "ok")
	if got := peerSees(c.ctx, s); got != "FIN" {
		c.differ("the accepted socket's peer saw %s; want FIN", got)
	}
	s.l.peer.Close()
	c.expect("drop P", dropNode(c.ctx, s.l), "ok")
	return c.released(s.l.p)
}

func acceptInto(l *socket.Listener, result chan<- error) {
	in, err := l.Accept()
	if err == nil {
		in.Refuse()
	}
	result <- err
}

func operations(n *lifetime.Node) int {
	for _, i := range lifetime.Snapshot(n) {
		return i.Operations
	}
	return 0
}

// listenAgain takes the address of the listener that is gone.
func (c *cell) listenAgain() error {
	again, err := socket.Listen(c.ctx, c.source.Addr(), nil)
	c.source = nil
	if err != nil {
		return fmt.Errorf("the address is not free: %w", err)
	}
	return again.Drop(c.ctx)
}

// shutListener is row 11's shutdown.
func shutListener(c *cell) error {
	accepted, err := c.acceptOne(refcount)
	if err != nil {
		return err
	}
	s := &scene{c: c, policy: refcount, l: accepted, done: make(map[string]bool)}
	defer s.abandon()
	queued, err := c.dial(c.source.Addr()) // nobody accepts it
	if err != nil {
		return err
	}
	defer queued.Close()
	r, err := c.source.Resource().Shutdown(c.ctx, errCell)
	if err != nil || r.State != lifetime.Released {
		return fmt.Errorf("shutdown of the listener: %v, %v", r.State, err)
	}
	if n, err := queued.Read(make([]byte, 1)); n != 0 || err == nil || c.kind.tcp() && !socket.IsReset(err) {
		c.differ("who was not accepted saw %d bytes and %v; want a reset", n, err)
	}
	if _, err := c.source.Accept(); !errors.Is(err, lifetime.ErrShutdown) {
		c.differ("Accept after the shutdown: %v", err)
	}
	if err := c.listenAgain(); err != nil {
		return err
	}
	if state := s.l.p.State(); state != lifetime.Live {
		c.differ("the accepted socket is %v; want live", state)
	}
	return s.force()
}

// copyElsewhere is row 36: a copy of the descriptor is inside a message that
// nobody has received, where not even /proc shows it.
func copyElsewhere(c *cell) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	defer s.abandon()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	if err := sendCopy(pair[0], s.l.conn); err != nil {
		return err
	}
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	report, err := s.l.shutdown(c.ctx, errCell)
	if err != nil {
		return err
	}
	want := c.proven()
	if c.kind == unix && want == socket.Gone {
		want = socket.Shared
	}
	if why := c.proof(report, want); why != "" {
		c.differ("%s", why)
	}
	got := peerSees(c.ctx, s)
	if c.kind.tcp() && got != "RST" || c.kind == unix && got != "FIN" {
		c.differ("past the copy the peer saw %s", got)
	}
	return s.l.released()
}

// sendCopy queues a copy of a connection's descriptor on a Unix socket.
func sendCopy(via int, conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = syscall.Sendmsg(via, []byte{0}, syscall.UnixRights(int(fd)), nil, 0)
	})
	return errors.Join(cerr, os.NewSyscallError("sendmsg", err))
}

// reuseStorm is row 39.
func reuseStorm(c *cell) error { return c.each((*scene).shutInStorm) }

// stormPipes is how many pipes are opened and closed beside each shutdown, by
// each of two.
const stormPipes = 20

// shutInStorm shuts one connection down, from two sides at once, while others
// take descriptors as soon as they are free.
func (s *scene) shutInStorm() (err error) {
	if s.r, err = s.l.receive(); err != nil {
		return err
	}
	var report socket.Report
	var touched [2]error
	race(
		func() { report, err = s.l.shutdown(s.c.ctx, errCell) },
		func() { s.l.p.BeginShutdown(errCell) },
		func() { touched[0] = pipes() },
		func() { touched[1] = pipes() },
	)
	if err := errors.Join(touched[:]...); err != nil {
		return fmt.Errorf("a stranger's descriptor: %w", err)
	}
	if err != nil {
		return err
	}
	if report.State != lifetime.Released {
		return fmt.Errorf("the report says %v", report.State)
	}
	return s.l.released()
}

// pipes opens and closes descriptors.
func pipes() error {
	for range stormPipes {
		if err := onePipe(); err != nil {
			return err
		}
	}
	return nil
}

// onePipe is a pipe of somebody else's: what goes in comes out, unless one of its
// ends was closed, or another descriptor was put in its place.
func onePipe() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	_, werr := w.Write([]byte("mine"))
	buf := make([]byte, 8)
	n, rerr := r.Read(buf)
	if string(buf[:n]) != "mine" {
		rerr = fmt.Errorf("read %q, %v", buf[:n], rerr)
	}
	return errors.Join(werr, rerr, w.Close(), r.Close())
}
