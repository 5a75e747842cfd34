package relay

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"relayd/tests/leak"
)

// A bookTest is a logbook whose lines the test adds. It is to be made in a
// bubble.
type bookTest struct {
	s    *Server
	log  lines
	path *path
}

// newBookTest starts a logbook that writes to handler, or to the test's lines.
func newBookTest(t *testing.T, rate int, handler slog.Handler) *bookTest {
	t.Helper()
	b := &bookTest{log: newLines()}
	if handler == nil {
		handler = b.log
	}
	b.s = newServer(&Config{Log: slog.New(handler), LogRate: rate})
	b.path = barePath(b.s, Timeouts{})
	go b.s.book.write(b.s)
	return b
}

// ended adds the ends of n conns.
func (b *bookTest) ended(n int, r Reason) {
	for range n {
		c := bareConn(b.path)
		c.reason = r
		b.s.book.add(line{c: c})
	}
}

// close ends the log, as the end of a server does.
func (b *bookTest) close() {
	close(b.s.unwatched)
	close(b.s.book.closed)
	synctest.Wait()
}

// count returns how many lines there are of each message by now, and the sum
// of what was left out.
func (b *bookTest) count() (written map[string]int, leftOut int64) {
	written = make(map[string]int)
	for range len(b.log) {
		r := <-b.log
		written[r.Message]++
		if r.Message == "conn lines left out" {
			leftOut += attrs(r)["conns"].Int64()
		}
	}
	return written, leftOut
}

func TestLogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, 100, nil)
		defer b.close()
		b.ended(1000, EOF)
		synctest.Wait()
		if got, _ := b.count(); got["conn ended"] != 100 || len(got) != 1 {
			t.Errorf("at once %v, want 100 ends", got)
		}
		// No line follows, and it is said all the same, once.
		<-time.After(leftOutEvery)
		synctest.Wait()
		if got, leftOut := b.count(); got["conn lines left out"] != 1 || len(got) != 1 || leftOut != 900 {
			t.Errorf("after a second %v, %d left out; want one line and 900", got, leftOut)
		}
		<-time.After(time.Hour)
		if got, _ := b.count(); len(got) != 0 {
			t.Errorf("in a quiet hour %v", got)
		}
		b.ended(101, EOF) // after it, no more than a second's at once
		synctest.Wait()
		if got, _ := b.count(); got["conn ended"] != 100 {
			t.Errorf("after it %v, want 100 ends", got)
		}
		if n := b.s.book.leftOut.Load(); n != 901 {
			t.Errorf("%d left out in all, want 901", n)
		}
	})
}

// In a flood of a minute the log gets what it can take, and a count each
// second. No conn is missing from the sum.
func TestLogFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, 100, nil)
		const each = 50 // every 10ms: 5000 a second
		for range 6000 {
			b.ended(each, EOF)
			synctest.Wait()
			<-time.After(10 * time.Millisecond)
		}
		b.close()
		got, leftOut := b.count()
		if n := got["conn ended"]; n < 6000 || n > 6200 {
			t.Errorf("%d ends in a minute at 100 a second", n)
		}
		if n := got["conn lines left out"]; n < 58 || n > 61 {
			t.Errorf("%d counts in a minute, want one a second", n)
		}
		if n := int64(got["conn ended"]) + leftOut; n != 6000*each {
			t.Errorf("%d conns in all, want %d", n, 6000*each)
		}
	})
}

// What went wrong is not lost among what went well.
func TestLogWarningsHaveARateOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, 10, nil)
		b.ended(1000, EOF)
		b.ended(10, DialFailed)
		b.close()
		failed, leftOut := 0, int64(0)
		for range len(b.log) {
			switch a := attrs(<-b.log); {
			case a["reason"].String() == "dial-failed":
				failed++
			case a["conns"].Kind() == slog.KindInt64:
				leftOut += a["conns"].Int64()
			}
		}
		if failed != 10 || leftOut != 990 {
			t.Errorf("%d warnings of 10, %d left out of 990", failed, leftOut)
		}
	})
}

func TestLogRateOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, -1, nil)
		b.ended(4*defaultLogRate, EOF)
		b.close()
		if got, leftOut := b.count(); got["conn ended"] != 4*defaultLogRate || leftOut != 0 {
			t.Errorf("%v, %d left out; want all", got, leftOut)
		}
	})
}

// A stuckLog stands still until it is let go on.
type stuckLog struct {
	lines
	goOn chan struct{}
}

func (l stuckLog) Handle(ctx context.Context, r slog.Record) error {
	<-l.goOn
	return l.lines.Handle(ctx, r)
}

// A log that stands still stops nobody, and costs lines, not their count. The
// warnings wait in front.
func TestLogThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := stuckLog{newLines(), make(chan struct{})}
		b := newBookTest(t, -1, stuck)
		b.log = stuck.lines
		const n = 3 * maxLines
		b.ended(n, EOF)
		b.ended(1, DialFailed)
		synctest.Wait()
		close(stuck.goOn)
		b.close()
		var reasons []string
		leftOut := int64(0)
		for range len(b.log) {
			r := <-b.log
			if r.Message == "conn lines left out" {
				leftOut += attrs(r)["conns"].Int64()
			} else {
				reasons = append(reasons, attrs(r)["reason"].String())
			}
		}
		if got := int64(len(reasons)) + leftOut; got != n+1 {
			t.Errorf("%d conns in all, want %d", got, n+1)
		}
		if len(reasons) < maxLines || reasons[1] != "dial-failed" {
			t.Errorf("%d lines, the second of them %v; want the warning", len(reasons), reasons[1])
		}
		if got := b.s.book.leftOut.Load(); got != leftOut {
			t.Errorf("the figures say that %d were left out, the log says %d", got, leftOut)
		}
	})
}

func TestPeriods(t *testing.T) {
	for _, tt := range []struct {
		age  time.Duration
		want int64
	}{{-time.Second, 0}, {0, 0}, {59 * time.Second, 0}, {time.Minute, 1}, {3*time.Minute - 1, 2}} {
		if n := periods(tt.age, time.Minute); n != tt.want {
			t.Errorf("%v: %d periods of a minute, want %d", tt.age, n, tt.want)
		}
	}
}

// A conn that lives long is heard of while it lives.
func TestLogEvery(t *testing.T) {
	leak.Check(t)
	const every = 80 * time.Millisecond
	s, log := start(t, Config{To: address(t, "echo:"), LogEvery: every})
	c := dial(t, s.Addrs()[0])
	accepted := log.next(t, "conn accepted")
	send(t, c, "hello")
	wantText(t, c, "hello")
	for i := range 3 {
		life := log.next(t, "conn lives")
		for _, key := range []string{"id", "client", "listener"} {
			if life[key].String() != accepted[key].String() || life[key].String() == "" {
				t.Errorf("%s: %v, and %v when it was accepted", key, life[key], accepted[key])
			}
		}
		wantBytes(t, life, 5, 5)
		if age := life["duration"].Duration(); age < time.Duration(i+1)*every {
			t.Errorf("line %d after %v", i, age)
		}
		if got := life["state"].String(); got != "open" {
			t.Errorf("it is %s", got)
		}
	}
	finish(t, c)
	wantEOF(t, c)
	end := log.wantEnd(t, EOF, Client)
	if end["id"].String() != accepted["id"].String() {
		t.Errorf("%v has ended, %v was accepted", end["id"], accepted["id"])
	}
}

// What has ended is said to have ended, and no more.
func TestLogLifeOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookTest(t, -1, nil)
		c := bareConn(b.path)
		c.bits.Or(isOver)
		c.logLife(0, time.Hour, time.Minute)
		b.close()
		if got, _ := b.count(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}
