package socket

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Loops are the event loops of a process, one a processor: see [Loop].
type Loops struct {
	list []*Loop
	ran  sync.WaitGroup
}

// A Loop moves plain bytes between sockets on one goroutine, however many there
// are, without a goroutine, a buffer or a pipe for those that are idle. It
// waits with the kernel's own means (epoll(7)), beside the runtime's scheduler.
//
// Both sockets of a connection are given to one loop, by [Loop.Copy] or by a
// listener that accepts on loops. For as long as it copies, that is one
// operation of each half, which every drop and shutdown ends as it ends a Read
// or a Write: the promises of the halves are the same.
//
// The interfaces [Acceptor], [Dialled] and [Copied] are called on the loop's
// goroutine: what they call must not wait. Every connection of the loop would.
type Loop struct {
	loop
	conns atomic.Int64 // sockets, about
}

// ErrNoLoops is returned by [StartLoops] on a system without event loops.
var ErrNoLoops = errors.New("event loops need Linux")

// A Copied is told that a copy on a loop has ended; see [Copy] for the results.
// Progress returns where the copy is to count; it is called often.
type Copied interface {
	Copied(written bool, err error)
	Progress() *Moved
}

// A Dialled is told how a dial on a loop ended: s is in the tree, or err says
// why not.
type Dialled interface {
	Dialled(l *Loop, s *Socket, err error)
}

// An Acceptor takes the connections of a listener that accepts on loops.
type Acceptor interface {
	// Accepted is given a connection, to open or refuse.
	Accepted(in Incoming)
	// AcceptFailed is told of an error that may pass. The loop accepts again
	// after the pause that it returns.
	AcceptFailed(err error) (pause time.Duration)
	// AcceptEnded is called once, after the last Accepted, when the listener
	// was stopped or has ended.
	AcceptEnded()
}

// Len returns how many loops there are.
func (ls *Loops) Len() int { return len(ls.list) }

// Least returns the loop with the fewest sockets.
func (ls *Loops) Least() *Loop {
	best := ls.list[0]
	for _, l := range ls.list[1:] {
		if l.conns.Load() < best.conns.Load() {
			best = l
		}
	}
	return best
}

// Stop ends the loops, which nothing may use any more, and does not wait.
func (ls *Loops) Stop() {
	for _, l := range ls.list {
		l.stop()
	}
}

// Wait waits until the loops that were stopped have ended.
func (ls *Loops) Wait() { ls.ran.Wait() }
