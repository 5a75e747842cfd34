package socket

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// What is promised, whatever the constants say.
const (
	wantLinger          = 2 * time.Second
	wantMaxLinger       = 15 * time.Minute
	wantDiscardLive     = 64 << 20
	wantDiscardDraining = 16 << 20
)

// A slowPeer is a connection in a test's own time: what its send queue holds is a
// question of the clock, and so is what it has to read.
type slowPeer struct {
	*memoryTransport
	queue   func(after time.Duration) int // what the peer has not taken by then
	arrives func() (int, error)           // what a Read of the drain finds; nil waits
	began   time.Time
	read    atomic.Int64
	aborted atomic.Bool
}

func newSlowPeer(queue func(time.Duration) int, arrives func() (int, error)) *slowPeer {
	return &slowPeer{memoryTransport: newMemoryTransport(Discard), queue: queue, arrives: arrives, began: time.Now()}
}

func (p *slowPeer) drains() bool { return true }
func (p *slowPeer) unsent() int  { return p.queue(time.Since(p.began)) }

func (p *slowPeer) disconnect() {
	p.aborted.Store(true)
	p.memoryTransport.disconnect()
}

func (p *slowPeer) resumeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noRead = false
}

func (p *slowPeer) Read(b []byte) (int, error) {
	p.mu.Lock()
	interrupted := p.noRead || p.closed
	p.mu.Unlock()
	if p.arrives == nil || interrupted {
		return p.memoryTransport.Read(b)
	}
	n, err := p.arrives()
	n = min(n, len(b))
	p.read.Add(int64(n))
	return n, err
}

// drained drops all of a socket to p and returns it, released, and how long that
// took.
func drained(t *testing.T, p *slowPeer) (*Socket, time.Duration) {
	t.Helper()
	s, err := open(p, At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	began := time.Now()
	drop(t, r.Drop, w.Drop, s.dropOnly)
	if s.node.State() != lifetime.Draining {
		t.Errorf("%v after the last drop", s.node.State())
	}
	<-s.node.Done()
	return s, time.Since(began)
}

// between fails the test if a drain did not end in the tick after d.
func between(t *testing.T, took, d time.Duration) {
	t.Helper()
	if took < d || took > d+2*lingerTick {
		t.Errorf("the drain took %v, want %v", took, d)
	}
}

// truncated fails the test if the socket does not say how much was lost.
func truncated(t *testing.T, s *Socket, lost int) {
	t.Helper()
	var cut *TruncatedError
	if err := s.node.Err(); s.node.End() != lifetime.Failed || !errors.As(err, &cut) || cut.Unsent != lost {
		t.Errorf("the end is %v, %v; want truncated by %d bytes", s.node.End(), err, lost)
	}
}

// oneByte is a peer that sends for ever, a byte every 50ms.
func oneByte() (int, error) {
	<-time.After(50 * time.Millisecond)
	return 1, nil
}

// Each byte that the peer takes is progress, and begins the linger time anew; but
// max-linger ends that.
func TestMaxLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue, pace = 1000, wantLinger - 2*lingerTick // all of it takes half an hour
		p := newSlowPeer(func(after time.Duration) int { return max(queue-int(after/pace), 0) }, nil)
		s, took := drained(t, p)
		between(t, took, wantMaxLinger)
		truncated(t, s, queue-int(took/pace))
		if !p.aborted.Load() {
			t.Error("a stream that lacks its tail did not end with a reset")
		}
	})
}

// A peer that takes a little, and then nothing, has the linger time from then on.
func TestLingerIsSinceProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const progress = 1500 * time.Millisecond
		p := newSlowPeer(func(after time.Duration) int {
			if after < progress {
				return 100
			}
			return 60
		}, nil)
		s, took := drained(t, p)
		between(t, took, progress+wantLinger)
		truncated(t, s, 60)
	})
}

// What the peer sends is no progress. It does not prolong a drain that waits for
// the peer to take its bytes, nor one that waits for its FIN.
func TestDiscardingIsNoProgress(t *testing.T) {
	for name, queue := range map[string]int{"bytes left": 7, "nothing left": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSlowPeer(func(time.Duration) int { return queue }, oneByte)
				s, took := drained(t, p)
				between(t, took, wantLinger)
				if p.read.Load() < 30 {
					t.Errorf("only %d bytes were discarded", p.read.Load())
				}
				if !p.aborted.Load() {
					t.Error("a peer that goes on sending was not reset")
				}
				if queue > 0 {
					truncated(t, s, queue)
				} else if s.node.End() != lifetime.Dropped {
					t.Errorf("nothing was lost, and the end is %v, %v", s.node.End(), s.node.Err())
				}
			})
		})
	}
}

// The peer's FIN does not end a drain with bytes under way, and their
// acknowledgement does.
func TestDrainAwaitsAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSlowPeer(func(after time.Duration) int {
			if after < time.Second {
				return 5
			}
			return 0
		}, func() (int, error) { return 0, io.EOF })
		s, took := drained(t, p)
		between(t, took, time.Second)
		if s.node.End() != lifetime.Dropped || p.aborted.Load() {
			t.Errorf("the end is %v, %v, aborted: %v", s.node.End(), s.node.Err(), p.aborted.Load())
		}
	})
}

// A peer may send much to a socket that drains, but not without a bound: fewer
// bytes than to a read half that was dropped while the other one lives.
func TestDiscardLimits(t *testing.T) {
	for name, c := range map[string]struct {
		live  bool
		limit int64
	}{"live": {true, wantDiscardLive}, "draining": {false, wantDiscardDraining}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := make(chan struct{})
				var p *slowPeer
				p = newSlowPeer(func(time.Duration) int { return 0 }, func() (int, error) {
					<-begun
					if p.read.Load() > 2*wantDiscardLive {
						return 0, io.EOF // without a limit the test would not end
					}
					return bufferSize, nil
				})
				s, err := open(p, At{})
				if err != nil {
					t.Fatal(err)
				}
				r, w := halves(t, s)
				drop(t, r.Drop)
				if c.live {
					close(begun)
					<-r.node.Done()
				}
				drop(t, w.Drop, s.dropOnly)
				if !c.live {
					close(begun)
				}
				<-s.node.Done()
				if n := p.read.Load(); n <= c.limit || n > c.limit+bufferSize {
					t.Errorf("%d bytes were discarded, want %d", n, c.limit)
				}
				if !p.aborted.Load() || !errors.Is(s.node.Err(), errDiscardLimit) {
					t.Errorf("aborted: %v, the end is %v", p.aborted.Load(), s.node.Err())
				}
			})
		})
	}
}
