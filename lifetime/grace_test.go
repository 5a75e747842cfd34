package lifetime_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// listen sets the leak level for a test, and returns what is reported.
func listen(t *testing.T, level lifetime.LeakLevel) <-chan lifetime.Info {
	reports := make(chan lifetime.Info, 100)
	lifetime.SetLeakLevel(level, func(i lifetime.Info) { reports <- i })
	t.Cleanup(func() { lifetime.SetLeakLevel(lifetime.LeakOff, nil) })
	return reports
}

// Under a grace a forgotten child is reported, then shut down with its parent.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := listen(t, lifetime.LeakOff) // graces are told at every level
		s := newPair(t, lifetime.Refcount)
		operation := make(chan error, 1)
		go func() { operation <- s.r.wait(false) }()
		s.p.SetGrace(time.Minute)
		<-time.After(time.Hour) // it begins with the drop
		began := time.Now()
		s.p.BeginDrop()
		<-s.p.Done()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("shut down after %v", took)
		}
		i := <-reports
		if i.ID != s.p.ID() || i.End != lifetime.Dropped || i.Children != 1 || i.Owned || i.State != lifetime.Live {
			t.Errorf("reported %+v", i)
		}
		if n := len(reports); n != 0 {
			t.Errorf("%d more reports", n)
		}
		s.r.gone()
		wantEnd(t, &s.r, lifetime.ShutDown)
		wantEnd(t, &s.p, lifetime.ShutDown)
		if err := <-operation; err == nil || !strings.Contains(err.Error(), "grace") {
			t.Errorf("operation: %v, want one that tells of the grace", err)
		}
	})
}

// A grace that is not needed tells nobody and ends nothing.
func TestGraceNotNeeded(t *testing.T) {
	for name, test := range map[string]struct {
		policy lifetime.Policy
		do     func(s *sock)
	}{
		"the child goes in time": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(time.Minute)
			s.p.BeginDrop()
			<-time.After(time.Minute - 1)
			s.r.owes.Store(true)
			s.r.BeginDrop() // and drains beyond it
			<-time.After(time.Second)
			s.r.pay <- nil
		}},
		"not dropped": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(time.Minute)
		}},
		"none": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(0)
			s.p.BeginDrop()
		}},
		"negative": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(-1)
			s.p.BeginDrop()
		}},
		"taken back": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(time.Minute)
			s.p.SetGrace(0)
			s.p.BeginDrop()
		}},
		"set after the drop": {lifetime.Refcount, func(s *sock) {
			s.p.BeginDrop()
			s.p.SetGrace(time.Minute)
		}},
		"block": {lifetime.Block, func(s *sock) {
			s.p.SetGrace(time.Minute)
			s.p.BeginDrop()
		}},
		"shut down before": {lifetime.Refcount, func(s *sock) {
			s.p.SetGrace(time.Minute)
			s.p.BeginDrop()
			s.p.BeginShutdown(errFirst)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reports := listen(t, lifetime.LeakOff)
				s := newPair(t, test.policy)
				test.do(s)
				<-time.After(time.Hour)
				if n := len(reports); n != 0 {
					t.Errorf("%d reports", n)
				}
				if name != "shut down before" && (s.p.End() == lifetime.ShutDown || s.r.End() == lifetime.ShutDown) {
					t.Errorf("ended as %v, %v", s.p.End(), s.r.End())
				}
				s.r.BeginDrop()
				s.p.BeginDrop()
				<-s.p.Done()
			})
		})
	}
}
