package relay

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// A logbook has the lines of conns written by somebody else: a log that stands
// still, a full pipe for one, must not stop an event loop, and a flood of conns
// must not become one of lines. What it leaves out it counts, and says so once a
// second.
type logbook struct {
	warnings, lines chan line
	closed          chan struct{} // closed when the last conn has ended
	lost            atomic.Int64  // lines that found no room, and that nobody was told of
	leftOut         atomic.Int64  // lines that were not written, for whatever reason
}

// How many lines wait for a log that is slow.
const (
	maxLines    = 4096
	maxWarnings = 1024
)

// defaultLogRate is that of Config.LogRate.
const defaultLogRate = 1000

// leftOutEvery is how often it is said that lines were left out.
const leftOutEvery = time.Second

func (b *logbook) open() {
	b.warnings, b.lines = make(chan line, maxWarnings), make(chan line, maxLines)
	b.closed = make(chan struct{})
}

// add takes a line, unless nobody wants to read it. It does not wait.
func (b *logbook) add(l line) {
	level := l.level()
	if !l.server().Log.Enabled(context.Background(), level) {
		return
	}
	to := b.lines
	if level >= slog.LevelWarn {
		to = b.warnings
	}
	select {
	case to <- l:
	default:
		b.lost.Add(1)
		b.leftOut.Add(1)
	}
}

// A logWriter writes what is in a logbook.
type logWriter struct {
	b *logbook
	s *Server
	// Warnings have a budget of their own: a flood of conns that end well
	// does not take it away.
	forWarnings, forLines budget
	leftOut               int64     // for the sake of the rate, since it was last said
	say                   time.Time // when to say it; zero if there is nothing to
	timer                 *time.Timer
}

// write writes lines until the last conn has ended, warnings first.
func (b *logbook) write(s *Server) {
	rate := s.LogRate
	if rate == 0 {
		rate = defaultLogRate
	}
	w := &logWriter{b: b, s: s, forWarnings: newBudget(rate), forLines: newBudget(rate), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	for w.next() {
		w.remind()
	}
	<-s.unwatched // whose lines may be under way
	for w.waiting() {
	}
	w.tell()
}

// next waits for a line, and writes it. It reports false when there will be no
// more but those that wait.
func (w *logWriter) next() bool {
	select {
	case l := <-w.b.warnings:
		w.write(l)
		return true
	default:
	}
	select {
	case l := <-w.b.warnings:
		w.write(l)
	case l := <-w.b.lines:
		w.write(l)
	case <-w.timer.C:
		w.tell()
	case <-w.b.closed:
		return false
	}
	return true
}

// waiting writes a line that waits. It reports false if none does.
func (w *logWriter) waiting() bool {
	select {
	case l := <-w.b.warnings:
		w.write(l)
	case l := <-w.b.lines:
		w.write(l)
	default:
		return false
	}
	return true
}

// write writes a line, or counts it.
func (w *logWriter) write(l line) {
	from := &w.forLines
	if l.level() >= slog.LevelWarn {
		from = &w.forWarnings
	}
	if from.spend(time.Now()) {
		l.log()
		return
	}
	w.leftOut++
	w.b.leftOut.Add(1)
}

// remind sees to it that what was left out is said in time, also if no line
// follows.
func (w *logWriter) remind() {
	switch {
	case w.leftOut+w.b.lost.Load() == 0:
	case w.say.IsZero():
		w.say = time.Now().Add(leftOutEvery)
		w.timer.Reset(leftOutEvery)
	case !time.Now().Before(w.say):
		w.tell()
	}
}

// tell says how many lines were left out since it was last said.
func (w *logWriter) tell() {
	w.timer.Stop()
	w.say = time.Time{}
	slow := w.b.lost.Swap(0)
	n := w.leftOut + slow
	w.leftOut = 0
	if n == 0 {
		return
	}
	hint := "the rate is limited"
	if slow > 0 {
		hint = "the log is slower than the conns"
	}
	w.s.Log.Warn("conn lines left out", "conns", n, "hint", hint)
}

// A budget is how many lines may be written: so many a second, and as many at
// once after a quiet one.
type budget struct {
	rate, left float64 // a negative rate is no limit
	at         time.Time
}

func newBudget(rate int) budget {
	return budget{rate: float64(rate), left: float64(rate), at: time.Now()}
}

// spend reports whether there is one more.
func (b *budget) spend(now time.Time) bool {
	if b.rate < 0 {
		return true
	}
	b.left = min(b.rate, b.left+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
