package relay

import (
	"sync"
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
)

// A tap that has seen no byte of a direction knows all the same where it ends.
func TestTapOffsetOfAnEnd(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr, Up: transform.Chain{twice}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "hello")
	wantText(t, up, "hheelllloo")
	send(t, up, "abc")
	wantText(t, c, "abc")
	id := onlyConn(t, s)
	client, upstream := tap(t, s, id, TapOptions{At: AtClient}), tap(t, s, id, TapOptions{At: AtUpstream})
	want := func(x *Tap, from Side, offset int64) {
		t.Helper()
		if e := x.next(t); e.From != from || e.End == "" || e.Offset != offset {
			t.Errorf("at the side of %v: %+v; want the end of %v at %d", x.Side(), e, from, offset)
		}
	}
	finish(t, c)
	wantEOF(t, up)
	want(client, Client, 5)
	want(upstream, Client, 10)
	late := tap(t, s, id, TapOptions{At: AtUpstream})
	want(late, Client, 10)
	finish(t, up)
	wantEOF(t, c)
	for _, x := range []*Tap{client, upstream, late} {
		want(x, Upstream, 3)
	}
	log.wantEnd(t, EOF, Client)
}

// Who comes to watch a conn in the moment of its end does not disturb its last line.
func TestTapOfTheDying(t *testing.T) {
	leak.Check(t)
	log := &endLog{lines: newLines()}
	u := listen(t)
	s := startLogged(t, Config{To: u.addr}, log)
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "hello")
	wantText(t, up, "hello")
	found, begun, looked := s.find(onlyConn(t, s)), make(chan struct{}), make(chan struct{})
	late := sync.OnceFunc(func() { // found.mu is held
		go func() {
			defer close(looked)
			close(begun)
			found.mu.Lock()
			defer found.mu.Unlock()
			found.unusual() // as Tap does
		}()
		<-begun
	})
	log.f.Store(&late)
	finish(t, c)
	wantEOF(t, up)
	finish(t, up)
	log.wantEnd(t, EOF, Client)
	<-looked
}
