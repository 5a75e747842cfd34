package socket

import (
	"context"
	"errors"
	"testing"
	"time"

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

// Who shuts down beside another one waits as long as its own context lasts, also
// when the other one waits for the end of a program.
func TestShutdownWaitsByItsOwnContext(t *testing.T) {
	said, release := make(chan struct{}), make(chan struct{})
	s, err := Dial(t.Context(), address(t, "exec:///bin/sh?arg=-c&arg=echo hello >%262; exec cat"), At{Stderr: func(string) {
		close(said)
		<-release // so that the program is not over
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-said
	first, second := make(chan Report, 1), make(chan Report, 1)
	go func() {
		r, _ := s.Shutdown(context.Background(), nil)
		first <- r
	}()
	within(t, s.node.Done(), "the release of the socket")
	go func() {
		r, _ := s.Shutdown(expired(t), nil)
		second <- r
	}()
	select {
	case r := <-second:
		if r.Kernel != Unverified {
			t.Errorf("the second: %s", r.Kernel)
		}
	case <-time.After(patience / 4):
		t.Error("the second has no time left, and waits with the first")
	}
	close(release)
	if r := <-first; r.Kernel != Gone {
		t.Errorf("the first: %s, %s", r.Kernel, r.Why)
	}
}
