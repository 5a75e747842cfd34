package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

// through is a stage that changes nothing.
var through = transform.NewStage("through", func(src io.Reader) io.ReadCloser { return io.NopCloser(src) })

// holder is a stage that keeps bytes back, and gives them out at the end only.
var holder = transform.NewStage("holder", func(src io.Reader) io.ReadCloser {
	return io.NopCloser(&holderReader{src: src})
})

type holderReader struct {
	src  io.Reader
	held bytes.Buffer
	over bool
}

func (r *holderReader) Read(p []byte) (int, error) {
	if !r.over {
		if _, err := r.held.ReadFrom(r.src); err != nil {
			return 0, err
		}
		r.over = true
	}
	return r.held.Read(p)
}

// half is a stage that lets every second byte through.
var half = transform.NewStage("half", func(src io.Reader) io.ReadCloser {
	return io.NopCloser(readerFunc(func(p []byte) (int, error) {
		var two [2]byte
		n, err := io.ReadFull(src, two[:])
		return copy(p, two[:n/2]), err
	}))
})

func setChains(t *testing.T, s *Server, id string, up, down transform.Chain) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), testPatience)
	defer stop()
	if err := s.SetChains(ctx, id, up, down); err != nil {
		t.Errorf("SetChains: %v", err)
	}
}

// looped is whether conns are on loops in this run of the tests, and stay there.
func looped(s *Server) bool { return s.loops != nil && s.restless == nil }

// Stages come and go on a conn under load, in one direction or both, and no byte
// is lost, doubled or out of order.
func TestChainsUnderLoad(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})
	staged := transform.Chain{through}
	turns := [][2]transform.Chain{{staged, nil}, {staged, staged}, {nil, staged}, {nil, nil}, {staged, staged}, {nil, nil}}
	underLoad(t, s, log, u, 60, func(id string, i int) {
		turn := turns[i%len(turns)]
		setChains(t, s, id, turn[0], turn[1])
	})
}

// A chain that goes writes its tail before the next one begins, an idle conn goes
// back to its loop, and what the stages have added or kept is not taken for
// bytes under way.
func TestChainsTail(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "plain ")
	wantText(t, up, "plain ")
	id := onlyConn(t, s)

	setChains(t, s, id, transform.Chain{twice, holder}, nil)
	onLoop(t, s, id, false)
	send(t, c, "abc")
	eventually(t, "the stage has it", func() bool { return s.Conns()[0].Up.In == 9 })
	setChains(t, s, id, transform.Chain{twice}, nil)
	wantText(t, up, "aabbcc")
	send(t, c, "d")
	wantText(t, up, "dd")
	if got := s.Conns()[0].Up.Stages; len(got) != 1 || got[0] != "twice" {
		t.Errorf("the stages are said to be %q", got)
	}
	send(t, up, "down")
	wantText(t, c, "down")
	setChains(t, s, id, transform.Chain{half}, transform.Chain{half})
	send(t, up, "DdOoWwNn")
	wantText(t, c, "DOWN")
	send(t, c, "UuPp")
	wantText(t, up, "UP")

	setChains(t, s, id, nil, nil)
	if looped(s) {
		onLoop(t, s, id, true)
	}
	send(t, c, "ef")
	wantText(t, up, "ef")
	eventually(t, "with nothing under way both directions read", func() bool {
		i := s.Conns()[0]
		return i.Up.State == Reading && i.Down.State == Reading
	})
	finish(t, c)
	wantEOF(t, up)
	eventually(t, "the direction up has ended", func() bool { return s.Conns()[0].Up.State == Over })
	if err := s.SetChains(t.Context(), id, transform.Chain{through}, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("a change of a direction that has ended: %v, want %v", err, ErrEnded)
	}
	setChains(t, s, id, nil, transform.Chain{twice})
	send(t, up, "gh")
	wantText(t, c, "gghh")
	finish(t, up)
	wantEOF(t, c)
	end := log.wantEnd(t, EOF, Client)
	wantBytes(t, end, 16, 12)
	if _, cut := end["truncated"]; cut {
		t.Error("the end says that bytes were lost")
	}
}

// A change that has to wait for a peer does not hold its caller up, takes effect
// when it can, and whoever asks again waits for it. A plain direction need not
// wait.
func TestChainsBlocked(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: transform.Chain{through}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	release := make(chan struct{})
	upward := upward1.send(c, reluctant{up, release}, sixteenMiB)
	eventually(t, "the pump cannot write", func() bool { return s.Conns()[0].Up.State == Writing && still(s) })
	id := onlyConn(t, s)
	brief, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := s.SetChains(brief, id, nil, nil); !errors.Is(err, ErrBlocked) {
		t.Fatalf("a change of a blocked direction: %v, want %v", err, ErrBlocked)
	}
	again := make(chan error, 1)
	go func() { again <- s.SetChains(t.Context(), id, nil, nil) }()
	close(release)
	upward.arrives(t)
	if err := <-again; err != nil {
		t.Error(err)
	}
	finish(t, up)
	wantEOF(t, c)
}

func sixteenMiB(n int64) bool { return n >= 16<<20 }

// A reluctant reads nothing before it is released.
type reluctant struct {
	io.Reader
	released <-chan struct{}
}

func (r reluctant) Read(p []byte) (int, error) {
	<-r.released
	return r.Reader.Read(p)
}

// still reports whether the one conn moves nothing for a moment.
func still(s *Server) bool {
	before := s.Conns()[0].Up.Out
	timer := time.NewTimer(10 * time.Millisecond)
	<-timer.C
	return s.Conns()[0].Up.Out == before
}

// A plain direction whose peer takes nothing lets go at once, with what it holds.
func TestChainsOfBlockedPlain(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	release := make(chan struct{})
	upward := upward1.send(c, reluctant{up, release}, sixteenMiB)
	eventually(t, "the pump cannot write", func() bool { return s.Conns()[0].Up.State == Writing && still(s) })
	setChains(t, s, onlyConn(t, s), transform.Chain{through}, nil)
	close(release)
	upward.arrives(t)
	finish(t, up)
	wantEOF(t, c)
}

// A conn that is made to finish while a chain is opened delivers what it had read all
// the same: the stages are not cut, but see the end.
func TestFinishWhileAChainOpens(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	release := make(chan struct{})
	upward := upward1.send(c, reluctant{up, release}, sixteenMiB)
	eventually(t, "the pump cannot write", func() bool { return s.Conns()[0].Up.State == Writing && still(s) })
	read := s.Conns()[0].Up.In
	x := s.find(onlyConn(t, s))
	finishes := transform.NewStage("finishes", func(src io.Reader) io.ReadCloser {
		x.beginFinish(Killed)
		return io.NopCloser(src)
	})
	s.SetChains(t.Context(), x.id(), append(transform.Chain{finishes}, chain(t, "delay:1ms")...), nil)
	close(release)
	if got := <-upward.got; got.n < read || got.err != nil {
		t.Errorf("%d bytes arrived of %d that were read, %v", got.n, read, got.err)
	}
	c.Close()
	up.Close()
	<-upward.sent
}

// What cannot change says so and stays as it is.
func TestChainsRefused(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: chain(t, "gzip,gunzip")})
	if err := s.SetChains(t.Context(), "none", nil, nil); err != ErrNoConn {
		t.Errorf("of no conn: %v", err)
	}
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "abc")
	wantText(t, up, "abc")
	id := onlyConn(t, s)
	for _, want := range []transform.Chain{nil, {through}, chain(t, "gzip,gunzip,gzip")} {
		if err := s.SetChains(t.Context(), id, want, nil); !errors.Is(err, ErrCodec) {
			t.Errorf("from gzip to %q: %v, want %v", want, err, ErrCodec)
		}
	}
	// The other direction can.
	setChains(t, s, id, chain(t, "gzip,gunzip"), transform.Chain{twice})
	send(t, up, "x")
	wantText(t, c, "xx")
	send(t, c, "def")
	wantText(t, up, "def")
}

// Resets and kills are what they always are while chains change.
func TestChainsAndEnds(t *testing.T) {
	ends := map[string]func(t *testing.T, s *Server, id string, c, up *net.TCPConn){
		"client":   func(t *testing.T, s *Server, id string, c, up *net.TCPConn) { reset(c); wantReset(t, up) },
		"upstream": func(t *testing.T, s *Server, id string, c, up *net.TCPConn) { reset(up); wantReset(t, c) },
		"kill": func(t *testing.T, s *Server, id string, c, up *net.TCPConn) {
			if _, err := s.Kill(t.Context(), id); err != nil {
				t.Error(err)
			}
			wantReset(t, c)
			wantReset(t, up)
		},
	}
	reasons := map[string]Reason{"client": ResetClient, "upstream": ResetUpstream, "kill": Killed}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr})
			for range 20 {
				c := dial(t, s.Addrs()[0])
				up := u.accept(t)
				eventually(t, "only one conn", func() bool { return len(s.Conns()) == 1 })
				id := onlyConn(t, s)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for i := 0; ; i++ {
						stages := transform.Chain{through}
						if i%2 > 0 {
							stages = nil
						}
						if s.SetChains(t.Context(), id, stages, stages) != nil {
							return
						}
					}
				}()
				send(t, c, "some bytes")
				wantText(t, up, "some bytes")
				end(t, s, id, c, up)
				got := log.next(t, "conn ended")
				if got["reason"].String() != reasons[name].String() {
					t.Errorf("it ended with %v (%v), want %v", got["reason"], got["err"], reasons[name])
				}
				within(t, done)
			}
		})
	}
}

func within(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(testPatience):
		t.Fatal("it does not end")
	}
}

// A conn that is still dialling begins with the chains that it is given.
func TestChainsWhileDialling(t *testing.T) {
	leak.Check(t)
	s, _ := start(t, Config{To: address(t, listenEcho(t))})
	for range 50 {
		c := dial(t, s.Addrs()[0])
		var list []ConnInfo
		for len(list) == 0 {
			list = s.Conns()
		}
		setChains(t, s, list[0].ID, transform.Chain{twice}, nil)
		send(t, c, "ab")
		wantText(t, c, "aabb")
		finish(t, c)
		wantEOF(t, c)
		eventually(t, "it is gone", func() bool { return len(s.Conns()) == 0 })
	}
}

// listenEcho is an echo server of TCP.
func listenEcho(t *testing.T) string {
	t.Helper()
	s, _ := start(t, Config{To: address(t, "echo:")})
	return s.Addrs()[0].String()
}

// A direction that was made to finish, and has read what it cannot write any more,
// has come to no clean end.
func TestFinishWithBytesUnderWay(t *testing.T) {
	for under, owed := range map[int64]bool{0: false, 5: true} {
		var c conn
		c.bits.Store(finishing)
		c.down.mark(&c, pumpStopped)
		c.up.moved.In.Store(under + 10)
		c.up.moved.Out.Store(10)
		c.up.ended(&c, inSource, net.ErrClosed)
		if c.up.marked(&c, resetOwed) != owed {
			t.Errorf("with %d bytes under way a reset is owed: %v", under, !owed)
		}
	}
}
