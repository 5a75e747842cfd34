package relay

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"relayd/socket"
)

// A failing accept is tried again after a pause, which grows: running out of
// descriptors must neither spin nor end the server.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// An acceptor takes the connections of one listener: on event loops, or on a
// goroutine of its own.
type acceptor struct {
	s     *Server
	l     *socket.Listener
	given socket.Address // as it was configured
	at    string         // the listener's address
	// entry is what becomes of connections.
	entry atomic.Pointer[entry]
	live  atomic.Int64  // conns
	begun chan struct{} // closed when it accepts
	ended chan struct{} // closed when it does no more

	sources sources
	refused [refusalCount]refused

	mu      sync.Mutex // several loops accept
	trouble acceptTrouble
	pulse   pulse
}

// name returns what the listener goes by.
func (a *acceptor) name() string {
	if e := a.entry.Load(); e != nil {
		return e.Name
	}
	return a.at
}

// begin accepts.
func (a *acceptor) begin() {
	on, err := a.l.AcceptOn(a.s.loops, a)
	if err != nil {
		a.s.Log.Warn("accepting without event loops", "listener", a.name(), "err", err)
	}
	if !on {
		go a.run()
	}
	close(a.begun)
}

// run accepts on a goroutine until the listener is closed.
func (a *acceptor) run() {
	defer a.AcceptEnded()
	for {
		in, err := a.l.Accept()
		switch {
		case err == nil:
			a.Accepted(in)
		case errors.Is(err, net.ErrClosed):
			return
		case !a.wait(a.AcceptFailed(err)):
			return
		}
	}
}

// AcceptEnded notes that the listener accepts no more.
func (a *acceptor) AcceptEnded() {
	close(a.ended)
	a.s.lastAccept()
	a.s.accepting.Done()
}

// Accepted makes a conn of an accepted connection and starts it. It hands it on
// at once: dialling is the conn's own business.
func (a *acceptor) Accepted(in socket.Incoming) {
	a.pulse.beats.Add(1)
	if a.trouble.now.Load() {
		a.recovered()
	}
	s := a.s
	v := visit{from: in.RemoteAddr()}
	if why := a.admit(&v); why != admitted {
		a.refuse(why)
		in.Refuse()
		return
	}
	c, err := s.newConn(&v)
	if err != nil {
		a.refuse(isDraining)
		in.Refuse()
		return
	}
	at := v.path.route.at
	at.Parent, at.Place, at.In, at.Stderr = &c.node, clientPlace, &c.client, c.stderr
	if _, err := in.Open(at); err != nil {
		c.openFailed(err)
		return
	}
	c.bits.Or(opened)
	if err := c.node.Enter(); err != nil { // shut down this moment
		return
	}
	s.book.add(line{c: c, event: wasAccepted})
	if s.restless != nil && in.Loop() != nil {
		s.restless.add(c, in.Loop())
	}
	c.begin(in.Loop())
	if v.path.route.removed.Load() {
		c.routeRemoved() // this moment
	}
}

// newConn puts a conn into the tree, where others see it from now on: its client's
// socket is not open yet.
func (s *Server) newConn(v *visit) (*conn, error) {
	c := &conn{from: v.from, began: time.Since(epoch)}
	c.path.Store(v.path)
	c.bits.Store(v.bits)
	if err := connKind.Init(c, &s.node, s.Policy); err != nil {
		v.path.leave(v.bits, v.source)
		return nil, err
	}
	s.ledger.accepted.Add(1)
	return c, nil
}

// openFailed ends a conn whose client has no socket: somebody has shut it down
// this moment, or the system has no room.
func (c *conn) openFailed(err error) {
	if c.dying() {
		c.shutDown(err)
	} else {
		c.failed(OpenFailed, Us, err)
	}
	c.node.BeginDrop()
}

// acceptTrouble is that accepting fails: it is tried again after a pause, which
// grows, and said once a second at most.
type acceptTrouble struct {
	pause  time.Duration
	failed int // since the last line
	said   time.Time
	open   bool        // the last line said that accepting fails
	now    atomic.Bool // the last accept failed
}

// AcceptFailed says that accepting fails, and how long to wait.
func (a *acceptor) AcceptFailed(err error) time.Duration {
	a.pulse.beats.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.trouble
	t.failed++
	if now := time.Now(); now.Sub(t.said) >= time.Second {
		hint := "the listener goes on"
		if socket.IsExhausted(err) {
			hint = "raise the limit of open files (ulimit -n), or relay fewer connections"
		}
		a.s.Log.Error("accept failed", "listener", a.name(), "err", err, "times", t.failed, "hint", hint)
		t.said, t.failed, t.open = now, 0, true
	}
	t.now.Store(true)
	t.pause = min(max(2*t.pause, acceptPauseMin), acceptPauseMax)
	return t.pause
}

// wait pauses before the next try. It reports false when the server stops.
func (a *acceptor) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.s.stopping:
		return false
	}
}

// recovered ends the trouble, and says so if its beginning was said: with
// descriptors that come and go this is called many times a second.
func (a *acceptor) recovered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.trouble
	if t.open {
		t.open = false
		a.s.Log.Info("accepting again", "listener", a.name())
	}
	t.pause, t.failed = 0, 0
	t.now.Store(false)
}
