package lifetime_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// A blockedDrop is a Drop that runs.
type blockedDrop struct {
	giveUp context.CancelFunc
	result string // after the bubble's Wait, "" while it waits
}

func dropping(t *testing.T, p *part) *blockedDrop {
	ctx, cancel := context.WithCancel(t.Context())
	d := &blockedDrop{giveUp: cancel}
	go d.run(ctx, t, p)
	synctest.Wait()
	return d
}

func (d *blockedDrop) run(ctx context.Context, t *testing.T, p *part) {
	left, err := p.Drop(ctx)
	d.result = dropOutcome(t, left, err)
	d.giveUp()
}

func (d *blockedDrop) want(t *testing.T, which, result string) {
	t.Helper()
	synctest.Wait()
	if d.result != result {
		t.Errorf("%s drop: %q, want %q", which, d.result, result)
	}
}

func TestSecondBlockDropTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		first, second := dropping(t, &s.p), dropping(t, &s.p)
		first.giveUp()
		first.want(t, "first", "alive R")
		second.want(t, "second", "")
		if s.p.State() != lifetime.Dropping {
			t.Errorf("%v while the second waits", s.p.State())
		}
		want(t, "use", s.p.use(), "dropping")
		s.r.BeginDrop()
		second.want(t, "second", "ok")
		s.p.gone()
	})
}

func TestBlockDropsThatGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		first, second := dropping(t, &s.p), dropping(t, &s.p)
		second.giveUp()
		second.want(t, "second", "alive R")
		first.giveUp()
		first.want(t, "first", "alive R")
		if s.p.State() != lifetime.Live || s.p.End() != lifetime.Open {
			t.Errorf("%v, %v after both gave up", s.p.State(), s.p.End())
		}
		// The owner still owns, in full.
		want(t, "use", s.p.use(), "ok")
		want(t, "acquire", s.w.join(writeKind, lifetime.Block), "ok")
		s.w.BeginDrop()
		third := dropping(t, &s.p)
		third.want(t, "third", "")
		s.r.BeginDrop()
		third.want(t, "third", "ok")
	})
}

func TestManyBlockDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		results := make(map[string]int)
		drops := make([]*blockedDrop, 10)
		for i := range drops {
			drops[i] = dropping(t, &s.p)
		}
		s.r.BeginDrop()
		synctest.Wait()
		for _, d := range drops {
			results[d.result]++
		}
		if results["ok"] != 1 || results["dropped"] != len(drops)-1 {
			t.Errorf("results %v, want one ok and the others dropped", results)
		}
	})
}

// The error of a drop that gave up is the package's, wraps the context's cause,
// and names each holder.
func TestBlockDropError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		s.w.join(writeKind, lifetime.Block)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errReset)
		defer cancel()
		began := time.Now()
		left, err := s.p.Drop(ctx)
		if time.Since(began) != time.Minute {
			t.Errorf("gave up after %v", time.Since(began))
		}
		if !errors.Is(err, lifetime.ErrHoldersAlive) || !errors.Is(err, errReset) {
			t.Errorf("error %v", err)
		}
		name := s.p.Name()
		if got, wanted := err.Error(), "drop "+name+": "+errReset.Error()+": held by "+name+".read, "+name+".write"; got != wanted {
			t.Errorf("error text\n%s, want\n%s", got, wanted)
		}
		if left.Children != 2 || len(left.Names()) != 2 {
			t.Errorf("left %d: %q", left.Children, left.Names())
		}
		s.p.BeginShutdown(nil)
	})
}

// A context that has ended already is no different.
func TestBlockDropWithEndedContext(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s := newPair(t, lifetime.Block)
	_, err := s.p.Drop(ended)
	want(t, "drop with a child", err, "alive R")
	want(t, "use", s.p.use(), "ok")
	s.r.BeginDrop()
	_, err = s.p.Drop(ended)
	want(t, "drop without a child", err, "ok")
	s.p.gone()
}

// A drop that is through is nil, however its context is: what happened wins.
func TestDropThroughAtTheEndOfItsContext(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, p := range []lifetime.Policy{lifetime.CloseChildren, lifetime.Refcount} {
		for range 50 { // a select between the two would choose either
			s := newPair(t, p)
			_, err := s.p.Drop(ended)
			want(t, "drop under "+p.String(), err, "ok")
			s.r.BeginDrop()
			s.p.gone()
		}
	}
}

func TestBeginDropUnderBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		left, err := s.p.BeginDrop()
		if got := dropOutcome(t, left, err); got != "left R" {
			t.Errorf("begin: %s", got)
		}
		_, err = s.p.BeginDrop()
		want(t, "second begin", err, "dropping")
		// Who waits now may give up, but there is no way back.
		waiter := dropping(t, &s.p)
		waiter.giveUp()
		waiter.want(t, "waiting", "alive R")
		if s.p.State() != lifetime.Dropping {
			t.Errorf("%v after a waiter gave up", s.p.State())
		}
		waiter = dropping(t, &s.p)
		s.r.BeginDrop()
		waiter.want(t, "waiting", "dropped") // BeginDrop was the drop
		s.p.gone()
		wantEnd(t, &s.p, lifetime.Dropped)
	})
}

func TestBeginDropBesideAWaitingDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		waiter := dropping(t, &s.p)
		left, err := s.p.BeginDrop()
		if got := dropOutcome(t, left, err); got != "left R" {
			t.Errorf("begin: %s", got)
		}
		s.r.BeginDrop()
		waiter.want(t, "waiting", "dropped") // one of the two is through, not both
	})
}

// After the children a block drop waits for the resource's own drain. Giving up
// then changes nothing: the drop has happened.
func TestBlockDropWaitsForTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPair(t, lifetime.Block)
		s.p.owes.Store(true)
		s.r.owes.Store(true) // what the child owes keeps nobody waiting
		first, second := dropping(t, &s.p), dropping(t, &s.p)
		s.r.BeginDrop()
		synctest.Wait()
		if s.p.State() != lifetime.Draining {
			t.Errorf("%v after the last child", s.p.State())
		}
		if first.result == "" {
			first, second = second, first
		}
		first.want(t, "one", "dropped")
		second.want(t, "the other", "")
		second.giveUp()
		second.want(t, "the other", "alive R") // which P waits for, too
		want(t, "use", s.p.use(), "dropped")
		s.p.pay <- nil
		s.r.pay <- nil
		<-s.p.Done()
		wantEnd(t, &s.p, lifetime.Dropped)
	})
}

// Giving up races with the last child's drop: either the owner still owns, or
// the drop is through; nothing is in between, and nothing is left waiting.
func TestGivingUpRacesTheLastChild(t *testing.T) {
	for range rounds {
		s := newPair(t, lifetime.Block)
		ctx, giveUp := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		var err error
		wg.Go(func() { _, err = s.p.Drop(ctx) })
		race(giveUp, func() { s.r.BeginDrop() })
		wg.Wait()
		got := outcome(t, err)
		again, err := s.p.BeginDrop()
		one(t, "drop, then again", got+", "+dropOutcome(t, again, err), "ok, dropped", "alive R, ok", "alive P, ok",
			"alive R, dropped", "alive P, dropped") // they were going, or had just gone
		<-s.p.Done()
		s.p.gone()
		s.r.gone()
		if t.Failed() {
			return
		}
	}
	nothingLeft(t)
}
