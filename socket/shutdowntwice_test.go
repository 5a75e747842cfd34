package socket

import (
	"errors"
	"testing"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// A slowToWake is a transport whose one interrupt takes until it is let go on.
type slowToWake struct {
	transport
	begun, goOn chan struct{}
	read        bool
}

func (s *slowToWake) interruptRead() {
	if s.read {
		close(s.begun)
		<-s.goOn
	}
	s.transport.interruptRead()
}

func (s *slowToWake) interruptWrite() {
	if !s.read {
		close(s.begun)
		<-s.goOn
	}
	s.transport.interruptWrite()
}

// Who shuts down second resets the connection, while the first is still on its way
// from half to half: an operation of one that has not heard of it ends by the
// shutdown, and not by a reset of the peer's.
func TestShutdownBesideAnother(t *testing.T) {
	leak.Check(t)
	for _, read := range []bool{false, true} {
		s, _ := connect(t, "127.0.0.1:0", lifetime.Refcount)
		slow := &slowToWake{transport: s.t, begun: make(chan struct{}), goOn: make(chan struct{}), read: read}
		s.t = slow
		r, w := halves(t, s)
		reads := blockedRead(t, r)
		writes := make(chan error, 1)
		go func() {
			_, err := w.Write(make([]byte, 64<<20)) // more than all buffers take
			writes <- err
		}()
		blocked(t, w.Resource())
		first := make(chan struct{})
		go func() {
			s.node.BeginShutdown(errTest)
			close(first)
		}()
		<-slow.begun
		second := make(chan struct{})
		go func() {
			s.Shutdown(t.Context(), errTest)
			close(second)
		}()
		for name, ended := range map[string]<-chan error{"read": reads, "write": writes} {
			if err := told(t, ended); !errors.Is(err, lifetime.ErrShutdown) || !errors.Is(err, errTest) {
				t.Errorf("%s, slow to wake the reader %v: %v", name, read, err)
			}
		}
		close(slow.goOn)
		<-first
		<-second
	}
}
