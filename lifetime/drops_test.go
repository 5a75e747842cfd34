package lifetime_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"relayd/lifetime"
)

// dropsDuring returns how many drops came to each outcome while f ran.
func dropsDuring(f func()) map[lifetime.Outcome]uint64 {
	before := lifetime.Drops()
	f()
	during := make(map[lifetime.Outcome]uint64)
	for o, n := range lifetime.Drops() {
		if n -= before[o]; n > 0 {
			during[o] = n
		}
	}
	return during
}

// wantDrops compares the outcomes of what f does with those that are given.
func wantDrops(t *testing.T, f func(), outcomes ...lifetime.Outcome) {
	t.Helper()
	want := make(map[lifetime.Outcome]uint64)
	for _, o := range outcomes {
		want[o]++
	}
	got := dropsDuring(f)
	for o := lifetime.Alone; o <= lifetime.Again; o++ {
		if got[o] != want[o] {
			t.Errorf("%v: %d drops, want %d", o, got[o], want[o])
		}
	}
	nothingLeft(t)
}

func TestDropOutcomes(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	drop := func(p *part, ctx context.Context) { p.Drop(ctx) }
	tests := []struct {
		name   string
		policy lifetime.Policy
		drops  func(s *sock)
		want   []lifetime.Outcome
	}{
		{"child first", lifetime.Trap, func(s *sock) {
			drop(&s.r, t.Context())
			drop(&s.p, t.Context())
		}, []lifetime.Outcome{lifetime.Alone, lifetime.Alone}},
		{"refcount", lifetime.Refcount, func(s *sock) {
			drop(&s.p, t.Context())
			drop(&s.r, t.Context())
		}, []lifetime.Outcome{lifetime.LeftBehind, lifetime.Alone}},
		{"trap", lifetime.Trap, func(s *sock) {
			drop(&s.p, t.Context())
			drop(&s.r, t.Context()) // cleans up
		}, []lifetime.Outcome{lifetime.Refused}},
		{"close-children", lifetime.CloseChildren, func(s *sock) {
			drop(&s.p, t.Context())
			drop(&s.r, t.Context()) // cleans up
		}, []lifetime.Outcome{lifetime.TookAlong}},
		{"block in vain, then through", lifetime.Block, func(s *sock) {
			drop(&s.p, ended)
			s.p.BeginDrop()
			drop(&s.r, t.Context())
			<-s.p.Done()
		}, []lifetime.Outcome{lifetime.GaveUp, lifetime.Alone, lifetime.Waited}},
		{"twice", lifetime.Refcount, func(s *sock) {
			drop(&s.r, t.Context())
			drop(&s.r, t.Context())
			drop(&s.p, t.Context())
		}, []lifetime.Outcome{lifetime.Alone, lifetime.Again, lifetime.Alone}},
		{"after a shutdown", lifetime.Refcount, func(s *sock) {
			s.p.Shutdown(t.Context(), errFirst)
			drop(&s.r, t.Context())
			drop(&s.p, t.Context())
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newPair(t, tt.policy)
			wantDrops(t, func() { tt.drops(s) }, tt.want...)
		})
	}
}

// No drop is lost where many are counted at once.
func TestDropsAddUp(t *testing.T) {
	const each = 1000
	got := dropsDuring(func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { dropPairs(t, each) })
		}
		all.Wait()
	})
	if got[lifetime.LeftBehind] != 8*each || got[lifetime.Alone] != 8*each {
		t.Errorf("%v, want %d left behind and as many alone", got, 8*each)
	}
	nothingLeft(t)
}

func dropPairs(t *testing.T, n int) {
	for range n {
		s := newPair(t, lifetime.Refcount)
		_, first := s.p.BeginDrop()
		_, second := s.r.BeginDrop()
		if err := errors.Join(first, second); err != nil {
			t.Error(err)
		}
	}
}

func TestOutcomeNames(t *testing.T) {
	names := make(map[string]bool)
	for o := lifetime.Alone; o <= lifetime.Again; o++ {
		if s := o.String(); s == "" || names[s] {
			t.Errorf("outcome %d has the name %q", o, s)
		} else {
			names[s] = true
		}
	}
	if s := (lifetime.Again + 1).String(); s != "outcome(7)" {
		t.Errorf("an unknown outcome is %q", s)
	}
}
