package load

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A clientele makes conns, each of its members one after the other, as long as
// there are more to make.
type clientele struct {
	t       *testing.T
	visit   func(n int64) error // one conn
	more    func(n int64) bool  // whether there is to be one of that number
	running sync.WaitGroup
	over    atomic.Bool

	next, made, failed atomic.Int64 // conns
	// Those that failed while something that may have had them was being killed.
	lost  atomic.Int64
	kills atomic.Int64 // odd meanwhile
}

// begin has -crowd members begin. They stop at the end of the test at the latest.
func (c *clientele) begin() {
	for range *crowd {
		c.running.Go(c.visitAll)
	}
	c.t.Cleanup(c.end)
}

func (c *clientele) visitAll() {
	for n := c.next.Add(1); !c.over.Load() && c.more(n); n = c.next.Add(1) {
		kills := c.kills.Load()
		err := c.visit(n)
		c.made.Add(1)
		switch {
		case err == nil:
		case kills%2 == 1 || c.kills.Load() != kills:
			c.lost.Add(1)
		case c.failed.Add(1) < 10:
			c.t.Errorf("conn %d: %v", n, err)
		}
	}
}

// killing has something be killed.
func (c *clientele) killing(kill func()) {
	c.kills.Add(1) // who comes now may still meet it,
	kill()
	c.kills.Add(1) // and who comes now does not
}

// await waits until there have been so many conns more.
func (c *clientele) await(more int64) {
	c.t.Helper()
	until := c.made.Load() + more
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.made.Load() < until {
		select {
		case <-tick.C:
		case <-timer.C:
			c.t.Fatalf("%v later still not %d conns more", patience, more)
		}
	}
}

// end has its members make no more conns than they have begun.
func (c *clientele) end() {
	c.over.Store(true)
	c.running.Wait()
}

func (c *clientele) String() string {
	return fmt.Sprintf("%d conns, %d failed, %d were lost", c.made.Load(), c.failed.Load(), c.lost.Load())
}
