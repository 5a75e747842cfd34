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
	s  *Server
	l  *socket.Listener
	at string // the listener's address
	// path is what conns begin with.
	path atomic.Pointer[path]

	mu      sync.Mutex // several loops accept
	trouble acceptTrouble
	pulse   pulse
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
	c := &conn{path: a.path.Load(), from: in.RemoteAddr(), began: time.Since(epoch)}
	if err := connKind.Init(c, &s.node, s.Policy); err != nil {
		s.ledger.refused.Add(1)
		in.Refuse()
		return
	}
	s.ledger.accepted.Add(1)
	at := s.at
	at.Parent, at.Place, at.In, at.Stderr = &c.node, clientPlace, &c.client, c.stderr
	if _, err := in.Open(at); err != nil {
		c.failed(OpenFailed, Us, err)
		c.node.BeginDrop()
		return
	}
	if err := c.node.Enter(); err != nil { // shut down this moment
		return
	}
	s.book.add(line{c: c, event: wasAccepted})
	if s.restless != nil && in.Loop() != nil {
		s.restless.add(c, in.Loop())
	}
	c.begin(in.Loop())
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
		a.s.Log.Error("accept failed", "listener", a.at, "err", err, "times", t.failed, "hint", hint)
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
		a.s.Log.Info("accepting again", "listener", a.at)
	}
	t.pause, t.failed = 0, 0
	t.now.Store(false)
}
