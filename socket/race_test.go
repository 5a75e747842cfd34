package socket

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
)

// mute listens where no dial ends: its backlog is full.
func mute(t *testing.T) Address {
	t.Helper()
	l, err := listenAt(t, "127.0.0.1:0?backlog=1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the kernel takes one more than it was told
		c, err := net.Dial("tcp", l.Addr().address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	a := l.Addr()
	a.Options = ""
	return a
}

// refusing is where nobody listens.
func refusing(t *testing.T) Address {
	t.Helper()
	l, err := listenAt(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr()
	l.Resource().BeginDrop()
	<-l.Resource().Done()
	return a
}

func serving(t *testing.T) Address {
	t.Helper()
	l, err := listenAt(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr()
}

func dialer(t *testing.T, a Address) *Dialer {
	t.Helper()
	d, err := NewDialer(a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRace(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		first, second func(*testing.T) Address
		headStart     time.Duration
		winner        int // -1: none
		laps          [2]error
		err           error
	}{
		"the first is in time":       {serving, serving, never, 0, [2]error{}, nil},
		"the first is mute":          {mute, serving, time.Millisecond, 1, [2]error{ErrOutrun}, nil},
		"the first refuses":          {refusing, serving, never, 1, [2]error{syscall.ECONNREFUSED}, nil},
		"the second refuses":         {mute, refusing, time.Millisecond, -1, [2]error{context.DeadlineExceeded, syscall.ECONNREFUSED}, context.DeadlineExceeded},
		"both refuse":                {refusing, refusing, never, -1, [2]error{syscall.ECONNREFUSED, syscall.ECONNREFUSED}, syscall.ECONNREFUSED},
		"there is no second":         {refusing, nil, never, -1, [2]error{syscall.ECONNREFUSED}, syscall.ECONNREFUSED},
		"both are mute":              {mute, mute, time.Millisecond, -1, [2]error{context.DeadlineExceeded, context.DeadlineExceeded}, context.DeadlineExceeded},
		"memory is as good as a net": {func(t *testing.T) Address { return address(t, "echo:") }, nil, never, 0, [2]error{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			first := dialer(t, c.first(t))
			var second *Dialer
			if c.second != nil {
				second = dialer(t, c.second(t))
			}
			ctx := t.Context()
			if errors.Is(c.err, context.DeadlineExceeded) {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
			}
			s, laps, err := Race(ctx, At{}, first, c.headStart, func() *Dialer { return second })
			if s != nil {
				defer s.Shutdown(t.Context(), errTest)
			}
			timeout := c.err == context.DeadlineExceeded && IsTimeout(err)
			if (c.winner < 0) != (s == nil) || !errors.Is(err, c.err) && !timeout {
				t.Fatalf("race: %v, %v; want an error %v", s, err, c.err)
			}
			for i, want := range c.laps {
				got := laps[i].Err
				late := want == context.DeadlineExceeded && IsTimeout(got)
				if !errors.Is(got, want) && !late {
					t.Errorf("lap %d ended with %v, want %v", i, got, want)
				}
			}
			if laps[1].Ran != (c.winner == 1 || c.laps[1] != nil) {
				t.Errorf("the second one ran: %v", laps[1].Ran)
			}
			if c.winner >= 0 && s.t.RemoteAddr() != nil {
				want := []*Dialer{first, second}[c.winner].Address()
				if got := s.t.RemoteAddr().String(); got != want.address() && want.Kind == TCP {
					t.Errorf("connected to %s, want %v", got, want)
				}
			}
		})
	}
}

// Who waits for a race can leave it.
func TestRaceIsCanceled(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancel(t.Context())
	second := func() *Dialer {
		cancel()
		return nil
	}
	_, _, err := Race(ctx, At{}, dialer(t, mute(t)), time.Millisecond, second)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("race: %v, want that it was canceled", err)
	}
}
