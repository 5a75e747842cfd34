package relay

import (
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"relayd/socket"
)

// newTrouble returns the trouble of a listener of a server that does nothing.
// Both are made inside of a bubble, except the listener, whose address is all
// that is used.
func newTrouble(l *socket.Listener) (*acceptor, lines) {
	log := newLines()
	s := &Server{fixed: fixed{Log: slog.New(log)}, stopping: make(chan struct{})}
	return &acceptor{s: s, l: l, at: l.Addr().String()}, log
}

func testListener(t *testing.T) *socket.Listener {
	t.Helper()
	l, err := socket.Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Resource().BeginDrop() })
	return l
}

// Descriptors run out for a minute: the tries get rare, and there is a line a
// second at most.
func TestAcceptTrouble(t *testing.T) {
	l := testListener(t)
	synctest.Test(t, func(t *testing.T) {
		trouble, log := newTrouble(l)
		began := time.Now()
		tries := 0
		for time.Since(began) < time.Minute {
			if !trouble.wait(trouble.AcceptFailed(syscall.EMFILE)) {
				t.Fatal("wait says that the server stops")
			}
			tries++
		}
		// 5ms, 10ms, and so on: 8 in the first second, then one in each.
		if tries < 60 || tries > 80 {
			t.Errorf("%d tries in a minute, want about one a second", tries)
		}
		if n := len(log); n < 50 || n > 61 {
			t.Errorf("%d lines in a minute, want one a second", n)
		}
		var last time.Time
		told := 0
		for range len(log) {
			r := <-log
			if !last.IsZero() && r.Time.Sub(last) < time.Second {
				t.Errorf("a line comes %v after the last", r.Time.Sub(last))
			}
			last = r.Time
			a := attrs(r)
			told += int(a["times"].Int64())
			if r.Message != "accept failed" || r.Level != slog.LevelError || a["hint"].String() == "" {
				t.Errorf("the line is %v", r)
			}
			if got, want := a["listener"].String(), l.Addr().String(); got != want {
				t.Errorf("the listener is %s, want %s", got, want)
			}
		}
		if told < tries-10 || told > tries {
			t.Errorf("the lines tell of %d of %d tries", told, tries)
		}
	})
}

// The hint fits the error.
func TestAcceptTroubleHint(t *testing.T) {
	l := testListener(t)
	synctest.Test(t, func(t *testing.T) {
		hints := make(map[string]bool)
		for _, err := range []error{syscall.ENFILE, errors.New("strange")} {
			trouble, log := newTrouble(l)
			trouble.wait(trouble.AcceptFailed(err))
			hints[attrs(<-log)["hint"].String()] = true
		}
		if len(hints) != 2 {
			t.Errorf("the hints are %v, want two", hints)
		}
	})
}

// One descriptor comes and goes: every second accept fails, for a minute. That
// is no reason for more lines, and each trouble begins with a short pause.
func TestAcceptTroubleOnAndOff(t *testing.T) {
	l := testListener(t)
	synctest.Test(t, func(t *testing.T) {
		trouble, log := newTrouble(l)
		began := time.Now()
		for time.Since(began) < time.Minute {
			before := time.Now()
			trouble.wait(trouble.AcceptFailed(syscall.EMFILE))
			if d := time.Since(before); d != acceptPauseMin {
				t.Fatalf("the first pause is %v, want %v", d, acceptPauseMin)
			}
			trouble.recovered()
		}
		count := make(map[string]int)
		for range len(log) {
			count[(<-log).Message]++
		}
		if n := count["accept failed"]; n < 50 || n > 61 {
			t.Errorf("%d lines of failure in a minute, want one a second", n)
		}
		if n := count["accepting again"]; n < 50 || n > 61 {
			t.Errorf("%d lines of success in a minute, want one for each line of failure", n)
		}
	})
}

// A server that stops does not wait for the pause to end.
func TestAcceptTroubleStops(t *testing.T) {
	l := testListener(t)
	synctest.Test(t, func(t *testing.T) {
		trouble, _ := newTrouble(l)
		for range 20 {
			trouble.wait(trouble.AcceptFailed(syscall.EMFILE))
		}
		time.AfterFunc(100*time.Millisecond, func() { close(trouble.s.stopping) })
		began := time.Now()
		if trouble.wait(trouble.AcceptFailed(syscall.EMFILE)) {
			t.Error("wait says to go on")
		}
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("wait took %v", d)
		}
	})
}
