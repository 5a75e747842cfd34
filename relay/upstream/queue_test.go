package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// narrow is a pool of two targets that take two conns each.
func narrow(t testing.TB, q Queue) Config {
	c := memory(t, RoundRobin, 1, 1)
	c.Targets[0].MaxConns, c.Targets[1].MaxConns = 2, 2
	c.Queue = q
	return c
}

// fill takes all that a pool has.
func fill(t testing.TB, p *Pool) (list []*Member) {
	for m := p.TryTake(nobody); m != nil; m = p.TryTake(nobody) {
		m.Dialled(nil, 0)
		list = append(list, m)
	}
	return list
}

// A waiting conn and what it got.
type waiting struct {
	m    *Member
	err  error
	done chan struct{}
}

func (w *waiting) run(ctx context.Context, p *Pool) {
	defer close(w.done)
	w.m, w.err = p.Take(ctx, nobody)
}

// line begins to wait, and returns when that is so.
func line(ctx context.Context, p *Pool) *waiting {
	w := &waiting{done: make(chan struct{})}
	go w.run(ctx, p)
	synctest.Wait()
	return w
}

func (w *waiting) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func TestQueueIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := opened(t, narrow(t, Queue{}), Options{})
		held := fill(t, p)
		if len(held) != 4 {
			t.Fatalf("%d conns were taken, want 4", len(held))
		}
		var list []*waiting
		for range 3 {
			list = append(list, line(t.Context(), p))
		}
		if n := p.Status().Queued; n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		for i, w := range list {
			held[i].Done()
			if p.TryTake(nobody) != nil {
				t.Error("somebody has overtaken those who wait")
			}
			synctest.Wait()
			for j, o := range list {
				if o.over() != (j <= i) {
					t.Errorf("after %d ends, waiter %d is over: %v", i+1, j, o.over())
				}
			}
			if w.m != held[i] {
				t.Errorf("it got %v, %v", w.m, w.err)
			}
		}
	})
}

func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := opened(t, narrow(t, Queue{Max: 1, Timeout: time.Second}), Options{})
		held := fill(t, p)
		began := time.Now()
		w := line(t.Context(), p)
		if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), `upstream "test"`) {
			t.Errorf("with a full queue: %v", err)
		}
		<-w.done
		if took := time.Since(began); !errors.Is(w.err, ErrQueueTimeout) || took != time.Second {
			t.Errorf("after %v: %v", took, w.err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w = line(ctx, p)
		cancel()
		<-w.done
		if !errors.Is(w.err, context.Canceled) {
			t.Errorf("after its cancellation: %v", w.err)
		}
		s := p.Status()
		if s.Queued != 0 || s.Waited != 2 || s.QueueTimeouts != 1 || s.RefusedFull != 1 || s.Taken != 4 {
			t.Errorf("status: %+v", s)
		}
		// Those who left have not taken a place with them.
		held[0].Done()
		if try(t, p, nobody) != held[0] {
			t.Error("another member was free")
		}
	})
}

func TestQueueOff(t *testing.T) {
	p := opened(t, narrow(t, Queue{Max: -1}), Options{})
	fill(t, p)
	if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrFull) {
		t.Errorf("take: %v", err)
	}
}

// Who waits hears when there is nothing to wait for.
func TestQueueEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *Pool)
		want error
	}{
		"all targets go down": {func(p *Pool) { p.Set("a", Down); p.Set("b", Draining) }, ErrDown},
		"the pool is closed":  {(*Pool).Close, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := opened(t, narrow(t, Queue{Timeout: -1}), Options{})
				fill(t, p)
				list := []*waiting{line(t.Context(), p), line(t.Context(), p)}
				c.end(p)
				for _, w := range list {
					<-w.done
					if w.m != nil || !errors.Is(w.err, c.want) {
						t.Errorf("take: %v, %v", w.m, w.err)
					}
				}
				if _, err := p.Take(t.Context(), nobody); !errors.Is(err, c.want) {
					t.Errorf("afterwards: %v", err)
				}
				if p.TryTake(nobody) != nil {
					t.Error("afterwards somebody got a member")
				}
			})
		})
	}
}

// Who says by hand that a target on trial is well has those served who wait for
// the end of the trial.
func TestQueueOfATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memory(t, RoundRobin, 1)
		c.Eject = Eject{Fails: 1, Time: time.Second, MaxPercent: 100}
		c.Queue.Timeout = -1
		p := opened(t, c, Options{})
		fail(members(p)[0], 1, errDial)
		after(time.Second + 10*time.Millisecond)
		trial := p.TryTake(nobody) // and dials
		w := line(t.Context(), p)
		if trial == nil || w.over() {
			t.Fatalf("%v is on trial, and another conn waits: %t", trial, !w.over())
		}
		p.Set("a", Up)
		synctest.Wait()
		if !w.over() {
			t.Errorf("it waits still: %+v", p.Status())
		}
		if m := member(t, p, "a"); m.Trial || m.Why != "" {
			t.Errorf("the target is %v, because %q", m.State, m.Why)
		}
	})
}

// A target that comes up serves those who wait.
func TestQueueIsServedByOnesThatComeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := opened(t, narrow(t, Queue{Timeout: -1}), Options{})
		p.Set("b", Down)
		fill(t, p)
		list := []*waiting{line(t.Context(), p), line(t.Context(), p), line(t.Context(), p)}
		p.Set("b", Up)
		synctest.Wait()
		if !list[0].over() || !list[1].over() || list[2].over() {
			t.Error("not the first two were served")
		}
		p.Close()
	})
}

// Many conns come, wait, give up and end, at all moments: nobody is forgotten,
// no member has too many, and nothing is left over.
func TestQueueLosesNobody(t *testing.T) {
	c := narrow(t, Queue{Max: 10_000, Timeout: -1})
	p := opened(t, c, Options{})
	var most, now atomic.Int64
	var got, gaveUp atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if r.IntN(3) == 0 {
					time.AfterFunc(time.Duration(r.IntN(100))*time.Microsecond, cancel)
				}
				m, err := p.Take(ctx, nobody)
				if err != nil {
					gaveUp.Add(1)
					cancel()
					continue
				}
				most.Store(max(most.Load(), now.Add(1)))
				m.Dialled(nil, 0)
				got.Add(1)
				now.Add(-1)
				m.Done()
				cancel()
			}
		})
	}
	all.Wait()
	s := p.Status()
	if most.Load() > 4 || got.Load()+gaveUp.Load() != 3200 || s.Queued != 0 || s.Members[0].Conns+s.Members[1].Conns != 0 {
		t.Errorf("most %d, got %d, gave up %d: %+v", most.Load(), got.Load(), gaveUp.Load(), s)
	}
	if n := len(fill(t, p)); n != 4 {
		t.Errorf("afterwards %d conns find a place, want 4", n)
	}
}

// Who gives up at the moment when a member is given to it takes that, or leaves
// it for others.
func TestQueueGivesUpInTheLastMoment(t *testing.T) {
	c := memory(t, First, 1)
	c.Targets[0].MaxConns = 1
	p := opened(t, c, Options{})
	var given int
	for range 500 {
		held := try(t, p, nobody)
		ctx, cancel := context.WithCancel(t.Context())
		w := &waiting{done: make(chan struct{})}
		go w.run(ctx, p)
		for p.Status().Queued == 0 {
			runtime.Gosched()
		}
		cancel()
		held.Done()
		<-w.done
		if w.m != nil {
			given++
			w.m.Dialled(nil, 0)
			w.m.Done()
		}
		if n := member(t, p, "a").Conns; n != 0 {
			t.Fatalf("%d conns are held by nobody, after %v", n, w.err)
		}
	}
	t.Logf("%d of 500 got what they no longer wanted", given)
}
