package leak

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A baseline is what existed at one moment: everything that is found later and
// is not in it was made since.
type baseline struct {
	goroutines map[string]bool     // by number, which is never used again
	fds        map[int]os.FileInfo // a number is used again, by another file
}

// take returns the baseline of now.
func take() baseline {
	startPoller()
	b := baseline{goroutines: make(map[string]bool), fds: openFDs()}
	for _, g := range goroutines() {
		b.goroutines[g.id] = true
	}
	return b
}

// startPoller makes the runtime open its network poller (on Linux an epoll and
// an eventfd), which it keeps for ever once somebody used a pipe or a socket.
// In the baseline it is known by number, so that a poller of somebody else's
// is still found.
var startPoller = sync.OnceFunc(func() {
	r, w, err := os.Pipe()
	if err != nil {
		panic("leak: " + err.Error())
	}
	r.Close()
	w.Close()
})

// left returns what exists now and is not in b.
func (b baseline) left() remains {
	var left remains
	for _, g := range goroutines() {
		if !b.goroutines[g.id] {
			left.goroutines = append(left.goroutines, g.stack)
		}
	}
	for n, info := range openFDs() {
		if was, ok := b.fds[n]; ok && os.SameFile(was, info) {
			continue
		}
		if !isProfile(info) {
			left.fds = append(left.fds, n)
		}
	}
	slices.Sort(left.fds)
	return left
}

// wait returns what is left once nothing is left or d is over.
func (b baseline) wait(d time.Duration) remains {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		left := b.left()
		if left.empty() {
			return left
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return b.left()
		}
	}
}

// remains are what somebody left behind.
type remains struct {
	goroutines []string // stacks
	fds        []int
}

func (r remains) empty() bool { return len(r.goroutines) == 0 && len(r.fds) == 0 }

// String returns a line for each file descriptor, then the stack of each
// goroutine.
func (r remains) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d file descriptors and %d goroutines:\n", len(r.fds), len(r.goroutines))
	for _, n := range r.fds {
		fmt.Fprintf(&b, "fd %d: %s\n", n, describe(n))
	}
	for _, stack := range r.goroutines {
		fmt.Fprintf(&b, "\n%s\n", stack)
	}
	return b.String()
}
