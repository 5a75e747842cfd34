package service

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Three targets under a load, of which one is killed, one becomes a black hole,
// and both come back.

// The listeners of testdata/targets.yaml: three by what becomes of conns whose
// target is down, and one without retries.
var (
	onDown    = []string{"keep", "fin", "reset"}
	listeners = append(slices.Clone(onDown), "once")
)

// A siege is all that takes part.
type siege struct {
	t               *testing.T
	relayd          *proc
	addrs           []string
	one, two, three *target
	load            *load
	held            map[string]map[string]net.Conn // by listener and target

	killed, killFound  time.Time // since when one was gone, and all upstreams knew
	stopped, stopFound time.Time // since when two was a black hole, and all knew
	up                 time.Time // since when one was up again for all
}

func TestTargets(t *testing.T) {
	for _, loops := range []string{"auto", "off"} {
		t.Run("event-loop="+loops, func(t *testing.T) {
			t.Parallel()
			s := startSiege(t, "--event-loop", loops)
			s.hold()
			s.kill()
			s.stop()
			s.comeBack()
			s.goOn()
			s.load.stop()
			s.judgeClients()
			s.judgeStart()
		})
	}
}

func startSiege(t *testing.T, flags ...string) *siege {
	s := &siege{t: t, held: make(map[string]map[string]net.Conn)}
	s.one, s.two, s.three = startTarget(t, "one", "127.0.2.1"), startTarget(t, "two", "127.0.2.2"), startTarget(t, "three", "127.0.2.3")
	s.relayd, s.addrs = relayd(t, "testdata/targets.yaml", []string{"ONE=" + s.one.addr, "TWO=" + s.two.addr, "THREE=" + s.three.addr}, nil, flags...)
	s.load = startLoad(t, s.addrs, 200)
	s.load.untilAnswered(time.Time{}, 40)
	return s
}

// hold opens a conn of each listener at each target.
func (s *siege) hold() {
	s.t.Helper()
	for i, listener := range onDown {
		at := make(map[string]net.Conn)
		s.held[listener] = at
		until(s.t, "there is a conn at each target of "+listener, func() bool {
			c := mustDial(s.t, "127.0.0.1", s.addrs[i])
			target, err := question(c, i)
			if err != nil {
				s.t.Fatal(err)
			}
			if at[target] != nil {
				c.Close()
			} else {
				at[target] = c
			}
			return len(at) == 3
		})
	}
}

// kill kills target one. Its system ends the conns that it had.
func (s *siege) kill() {
	s.one.Kill()
	s.killed = time.Now()
	s.down("one")
	s.killFound = time.Now()
	for _, listener := range onDown {
		s.ended(listener, s.one, io.EOF)
	}
	s.load.untilAnswered(s.killFound, 40)
}

// down waits until all upstreams know that a target is down.
func (s *siege) down(target string) {
	s.t.Helper()
	for _, upstream := range listeners {
		s.relayd.saying(s.t, "target is down", "upstream="+upstream, "target="+target)
	}
}

// ended wants the conn that is held at a target to end, in a way.
func (s *siege) ended(listener string, at *target, how error) {
	s.t.Helper()
	if _, err := s.held[listener][at.addr].Read(make([]byte, 1)); !errors.Is(err, how) {
		s.t.Errorf("on-down=%s: a conn at %s, which is down, ends in %v, want %v", listener, at.name, err, how)
	}
}

// stop makes a black hole of target two.
func (s *siege) stop() {
	s.stopped = s.two.stop()
	s.down("two")
	s.stopFound = time.Now()
	s.ended("fin", s.two, io.EOF)
	s.ended("reset", s.two, syscall.ECONNRESET)
	s.load.untilAnswered(s.stopFound, 40)
}

// slowStart is what the file says.
const slowStart = 2 * time.Second

// comeBack starts target one again, and lets clients come until it has its whole
// share.
func (s *siege) comeBack() {
	s.one.start()
	for _, upstream := range listeners {
		s.relayd.saying(s.t, "target is up", "upstream="+upstream, "target=one")
	}
	s.up = time.Now()
	until(s.t, "the slow start is over", func() bool {
		return len(s.load.between(s.up.Add(slowStart+slowStart/4), time.Now())) > 0
	})
}

// goOn lets target two go on. What was kept at it goes on, too.
func (s *siege) goOn() {
	s.two.goOn()
	kept := s.held["keep"][s.two.addr]
	kept.SetDeadline(time.Now().Add(patience))
	if at, err := question(kept, 7); at != s.two.addr {
		s.t.Errorf("a conn that was kept answers %q, %v", at, err)
	}
	for i, listener := range onDown { // and nobody else has noticed anything
		c := s.held[listener][s.three.addr]
		c.SetDeadline(time.Now().Add(patience))
		if at, err := question(c, i); at != s.three.addr {
			s.t.Errorf("a conn at the third target answers %q, %v", at, err)
		}
	}
	since := time.Now()
	until(s.t, "two has clients again", func() bool {
		n, _ := s.load.at(s.two, since, time.Now())
		return n > 0
	})
}

// judgeClients looks at what became of all who came.
func (s *siege) judgeClients() {
	var cut, failed, slow int
	all := s.load.between(time.Time{}, time.Now())
	for _, v := range all {
		listener := listeners[v.listener]
		before := func(end time.Time) bool { d := end.Sub(v.began); return d > 0 && d < time.Second }
		switch {
		case v.err == nil && v.took > 150*time.Millisecond:
			slow++
		case v.err == nil:
		case errors.Is(v.err, os.ErrDeadlineExceeded):
			s.t.Errorf("a client of %s was never answered", listener)
		case before(s.killed), before(s.stopped) && listener != "keep":
			cut++ // while it was asking, or waited in the backlog
		case listener == "once" && (v.began.After(s.killed) && v.began.Before(s.killFound) || v.began.After(s.stopped) && v.began.Before(s.stopFound)):
			failed++
		default:
			s.t.Errorf("a client of %s fails %v after the kill, %v after the stop: %v", listener, v.began.Sub(s.killed), v.began.Sub(s.stopped), v.err)
		}
	}
	s.t.Logf("%d clients: %d were cut; without retries %d failed; %d had to wait for another target", len(all), cut, failed, slow)
	s.t.Logf("found: the killed target after %v, the stopped one after %v", s.killFound.Sub(s.killed), s.stopFound.Sub(s.stopped))
	if cut > backlog+10 {
		s.t.Errorf("%d clients were cut, more than were at a target that was killed or stopped", cut)
	}
	if n, _ := s.load.at(s.two, s.stopFound, s.up); n > 0 {
		s.t.Errorf("%d clients were sent to a target that is known to be down", n)
	}
	if s.threeWasDown() {
		s.t.Error("the third target was taken for down")
	}
}

// threeWasDown reports whether the log says so.
func (s *siege) threeWasDown() bool {
	for line := range strings.Lines(s.relayd.said()) {
		if containsAll(line, []string{"target is down", "target=three"}) {
			return true
		}
	}
	return false
}

// judgeStart looks at the share of the target that came back, beside that of the
// third: from nearly nothing to a half.
func (s *siege) judgeStart() {
	quarter := func(n int) float64 {
		from := s.up.Add(time.Duration(n) * slowStart / 4)
		at, all := s.load.at(s.one, from, from.Add(slowStart/4))
		s.t.Logf("%d of %d clients in quarter %d of the slow start", at, all, n+1)
		return float64(at) / float64(max(all, 1))
	}
	first, last, after := quarter(0), quarter(3), quarter(4)
	if first == 0 || first > 0.3 || last < 0.35 || after < 0.4 {
		s.t.Errorf("its share is %.2f, %.2f, then %.2f", first, last, after)
	}
}
