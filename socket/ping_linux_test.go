package socket

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"relayd/tests/leak"
)

// A stuck is a visitor that does not go on.
type stuck struct{ entered, leave chan struct{} }

func (s *stuck) visit(*Loop) {
	close(s.entered)
	<-s.leave
}

func TestPing(t *testing.T) {
	leak.Check(t)
	ls := loops(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := ls.Ping(ctx); err != nil {
		t.Error(err)
	}
	s := &stuck{make(chan struct{}), make(chan struct{})}
	ls.list[1].post(s)
	<-s.entered
	now, stop := context.WithCancelCause(t.Context())
	stop(errTest)
	err := ls.Ping(now)
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "of 3 event loops stand still") {
		t.Errorf("with one that stands still: %v", err)
	}
	close(s.leave)
	if err := ls.Ping(ctx); err != nil {
		t.Errorf("when it goes on: %v", err)
	}
}

func TestWaits(t *testing.T) {
	leak.Check(t)
	for name, text := range loopKinds(t) {
		for _, on := range []string{"goroutine", "loop"} {
			t.Run(name+"/"+on, func(t *testing.T) {
				ctx := t.Context()
				l, err := Listen(ctx, address(t, text), nil)
				if err != nil {
					t.Fatal(err)
				}
				if l.Waits() {
					t.Error("somebody waits before anybody has come")
				}
				peer, err := net.Dial(l.Addr().network(), l.Addr().address())
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				if !l.Waits() {
					t.Error("nobody waits")
				}
				var s *Socket
				if on == "loop" {
					h := make(acceptorOf, 1)
					if on, err := l.AcceptOn(loops(t, 1), h); !on || err != nil {
						t.Fatal(on, err)
					}
					s = <-h
				} else {
					in, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					if s, err = in.Open(At{}); err != nil {
						t.Fatal(err)
					}
				}
				if l.Waits() {
					t.Error("somebody waits after the accept")
				}
				s.Shutdown(ctx, errTest)
				drop(t, l.Drop)
				if l.Waits() {
					t.Error("somebody waits after the close")
				}
			})
		}
	}
}
