package relay

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

// An endLog calls a function in the middle of a conn's end, when that is counted.
type endLog struct {
	lines
	f atomic.Pointer[func()]
}

func (l *endLog) Enabled(ctx context.Context, level slog.Level) bool {
	if f := l.f.Load(); f != nil && level == slog.LevelInfo {
		(*f)()
	}
	return l.lines.Enabled(ctx, level)
}

// What a conn has moved is counted once, also when it ends while it is summed up.
func TestMovedWhileAConnEnds(t *testing.T) {
	leak.Check(t)
	log := &endLog{lines: newLines()}
	s := startLogged(t, Config{To: address(t, "echo:")}, log)
	c := dial(t, s.Addrs()[0])
	send(t, c, "hello")
	wantText(t, c, "hello")
	var meanwhile Traffic
	sum := func() { meanwhile = s.moved() }
	log.f.Store(&sum)
	finish(t, c)
	wantEOF(t, c)
	log.wantEnd(t, EOF, Client)
	log.f.Store(nil)
	want := Traffic{5, 5, 5, 5}
	if meanwhile.UpIn > want.UpIn || meanwhile.DownOut > want.DownOut {
		t.Errorf("while it ended %+v, want %+v at most", meanwhile, want)
	}
	if got := s.Stats().Moved; got != want {
		t.Errorf("in the end %+v, want %+v", got, want)
	}
}

// A conn that was found just before its end is as old as it was then.
func TestAgeOfTheDead(t *testing.T) {
	c := bareConn(barePath(newServer(&Config{}), Timeouts{}))
	c.began = time.Hour // how long it took
	c.bits.Or(isOver)
	if age := c.info(tickNow()).Age; age != time.Hour {
		t.Errorf("it is %v old", age)
	}
}

// What goes through a stage is counted once, also when its chain is closed while that
// is summed up.
func TestStageBytesWhileConnsEnd(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: address(t, "echo:"), Up: transform.Chain{twice}})
	const conns = 200
	var list []*net.TCPConn
	for range conns {
		c := dial(t, s.Addrs()[0])
		send(t, c, "hello")
		wantText(t, c, "hheelllloo")
		list = append(list, c)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.stageBytes()
			}
		}
	}()
	for _, c := range list {
		finish(t, c)
	}
	for range list {
		log.wantEnd(t, EOF, Client)
	}
	close(stop)
	<-stopped
	if n := s.Stats().Stages[StageOf{"up", "twice"}]; n.In != 5*conns || n.Out != 10*conns {
		t.Errorf("%d bytes in and %d out, want %d and %d", n.In, n.Out, 5*conns, 10*conns)
	}
}
