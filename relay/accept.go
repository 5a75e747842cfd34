package relay

import (
	"errors"
	"net"
	"time"

	"relayd/socket"
)

// A failing accept is tried again after a pause, which grows: running out of
// descriptors must neither spin nor end the server.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// accept serves one listener until it is closed. It hands each connection on at
// once: dialling is the conn's own business.
func (s *Server) accept(l *socket.Listener) {
	defer s.accepting.Done()
	defer s.lastAccept()
	trouble := acceptTrouble{s: s, l: l}
	for {
		in, err := l.Accept()
		switch {
		case err == nil:
			trouble.over()
			s.serve(l, in)
		case errors.Is(err, net.ErrClosed):
			return
		case !trouble.wait(err):
			return
		}
	}
}

// serve makes a conn of an accepted connection and starts it.
func (s *Server) serve(l *socket.Listener, in socket.Incoming) {
	c := newConn(s, l, in)
	if err := connKind.Init(c, &s.node, s.Policy); err != nil {
		in.Refuse()
		return
	}
	at := socket.At{Parent: &c.node, Place: clientPlace, Policy: s.Policy, In: &c.client, Stderr: c.stderr}
	if _, err := in.Open(at); err != nil {
		c.failed(OpenFailed, Us, err)
		c.node.BeginDrop()
		return
	}
	if err := c.node.Enter(); err != nil { // shut down this moment
		return
	}
	s.Log.Debug("conn accepted", "id", c.id(), "client", c.from)
	go c.run()
}

// acceptTrouble spaces out the tries of an accept that fails, and says so once
// a second at most.
type acceptTrouble struct {
	s      *Server
	l      *socket.Listener
	pause  time.Duration
	failed int // since the last line
	said   time.Time
	open   bool // the last line said that accepting fails
}

// wait pauses before the next try. It reports false when the server stops.
func (t *acceptTrouble) wait(err error) bool {
	t.failed++
	if now := time.Now(); now.Sub(t.said) >= time.Second {
		hint := "the listener goes on"
		if socket.IsExhausted(err) {
			hint = "raise the limit of open files (ulimit -n), or relay fewer connections"
		}
		t.s.Log.Error("accept failed", "listener", t.l.Addr().String(), "err", err, "times", t.failed, "hint", hint)
		t.said, t.failed, t.open = now, 0, true
	}
	t.pause = min(max(2*t.pause, acceptPauseMin), acceptPauseMax)
	timer := time.NewTimer(t.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.s.stopping:
		return false
	}
}

// over ends the trouble, and says so if its beginning was said: with descriptors
// that come and go this is called many times a second.
func (t *acceptTrouble) over() {
	if t.open {
		t.open = false
		t.s.Log.Info("accepting again", "listener", t.l.Addr().String())
	}
	t.pause, t.failed = 0, 0
}
