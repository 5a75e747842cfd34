package lifetime

import (
	"strconv"
	"sync"
	"unsafe"
)

// An Outcome says what a drop came to: what the policy has made of it, where
// children were left.
type Outcome uint8

// The outcomes.
const (
	Alone      Outcome = iota // no child was left: all policies are alike
	LeftBehind                // Refcount: children hold it on
	Refused                   // Trap: it was poisoned, with its children
	TookAlong                 // CloseChildren: its children were ended
	Waited                    // Block: the last child has gone
	GaveUp                    // Block: the caller has not waited for that
	Again                     // it had been dropped before: a mistake of the caller's
	outcomes
)

var outcomeNames = [...]string{"alone", "left-behind", "refused", "took-along", "waited", "gave-up", "again"}

// String returns the outcome's name, such as "left-behind".
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}

// Drops returns how many drops of the process have come to each outcome so far.
// Ends that were no drop (a shutdown, a finish, a handle that was lost) are not
// in it, and neither is a drop that cleans up after them.
func Drops() map[Outcome]uint64 {
	sum := make(map[Outcome]uint64, outcomes)
	for i := range locks {
		l := &locks[i]
		l.Lock()
		for o, n := range l.drops {
			sum[Outcome(o)] += n
		}
		l.Unlock()
	}
	return sum
}

// A lock guards what its nodes have to guard; see locks. The drops are counted
// where every drop has come by already, in a cache line that it holds: counting
// costs nothing to speak of, and no two processors meet over it.
type lock struct {
	sync.Mutex
	drops [outcomes]uint64
}

// A lock fills a cache line.
var _ [64]byte = [unsafe.Sizeof(lock{})]byte{}

// count notes what a drop of n came to. The lock is held.
func (n *Node) count(o Outcome) { locks[uint8(n.meta.load().id())].drops[o]++ }

// dropOutcome returns what a drop that went through at once came to.
func dropOutcome(p Policy, left int) Outcome {
	switch {
	case p == CloseChildren:
		return TookAlong
	case left > 0:
		return LeftBehind
	}
	return Alone
}
