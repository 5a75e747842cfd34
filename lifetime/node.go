package lifetime

import (
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Node is a resource's place in the tree: 48 bytes, to be embedded as the
// first field of the resource's own struct and never copied. [Kind.Init] puts
// it into the tree. A Node is also the owner's handle: its methods are the
// owner's, and safe from any number of goroutines.
type Node struct {
	word   atomic.Uint64 // see word
	meta   metaWord
	parent *Node // never changes after Init
	// Guarded by the parent's lock.
	next, prev *Node
	// Guarded by the node's own lock. The first child, or the attendant.
	first *Node
}

func (n *Node) load() word             { return word(n.word.Load()) }
func (n *Node) add(d word) word        { return word(n.word.Add(uint64(d))) }
func (n *Node) sub(d word) word        { return word(n.word.Add(-uint64(d))) }
func (n *Node) swap(old, to word) bool { return n.word.CompareAndSwap(uint64(old), uint64(to)) }

// Enter begins an operation: until the matching [Node.Leave] the resource is
// not released, unless Enter fails. The errors are those of the package: what
// became of the handle, in the words of whoever ended it.
//
// Enter and Leave are written to be inlined: one atomic addition each. Enter
// counts itself in before it looks, and out again when it finds the handle dead.
func (n *Node) Enter() error {
	if n.word.Add(enterDelta)&enterMask == enterWant {
		return nil
	}
	return n.enter()
}

// enter is the rest of an Enter that did not find the handle usable.
//
//go:noinline
func (n *Node) enter() error {
	for {
		n.Leave()
		if err := n.refuse("enter"); err != nil {
			return err
		}
		if word(n.word.Add(enterDelta)).usable() {
			return nil
		}
	}
}

// Leave ends an operation. The last one to leave a resource that is done
// releases it, on its own goroutine. Leave without Enter panics.
func (n *Node) Leave() {
	if n.word.Add(leaveDelta)&leaveMask != leaveWant {
		n.left()
	}
}

// left is the rest of a Leave that somebody may wait for.
//
//go:noinline
func (n *Node) left() {
	w := n.load()
	if w.ops() == opMask {
		n.changed(n.add(oneOp)) // who recovers can go on
		panic("lifetime: Leave without Enter")
	}
	n.changed(w)
}

// changed does what a change of the counts calls for: it wakes whoever waits
// for one, and releases the resource if nothing is left to wait for. w is the
// word right after the change.
func (n *Node) changed(w word) {
	if w&watched != 0 {
		n.broadcast()
	}
	if w.releasable() {
		n.settle()
	}
}

// refuse says why the handle of n cannot be used for op. It returns nil when it
// can be after all, because the caller saw a state that has passed.
func (n *Node) refuse(op string) error {
	n.lock()
	w, m := n.load(), n.meta.load()
	n.unlock()
	switch m.fate() {
	case Open:
		n.mustBeBorn()
		switch {
		case w.state() == Dropping:
			return ErrDropping
		case op == "enter" && w.ops() >= maxOps || op == "acquire" && w.children() == countMask:
			return errFull
		}
		return nil
	case Dropped, Lost:
		if m.policy() == Trap {
			return n.trap(op, n.holders())
		}
		return ErrDropped
	}
	return n.errorFor(m.fate(), nil)
}

// mustBeBorn panics before Init, which would forget whatever n was told.
func (n *Node) mustBeBorn() {
	if s := n.State(); s == unborn || s == beingBorn {
		panic("lifetime: use of a resource before its Init")
	}
}

// ID returns the resource's id, which no other resource of the process ever
// has. Ids grow with time.
func (n *Node) ID() uint64 { return n.meta.load().id() }

// State returns the resource's state.
func (n *Node) State() State { return n.load().state() }

// Policy returns the policy that the resource was made with.
func (n *Node) Policy() Policy { return n.meta.load().policy() }

// Done returns a channel that is closed when the resource has been released.
func (n *Node) Done() <-chan struct{} {
	n.mustBeBorn()
	n.lock()
	defer n.unlock()
	if n.load().state() == Released {
		return closedChan
	}
	a := n.attend()
	if a.done == nil {
		a.done = make(chan struct{})
	}
	return a.done
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// An attendant keeps what few resources ever need. It hangs at the head of its
// resource's list of children, so that a resource without one pays nothing.
type attendant struct {
	Node // unborn for ever

	done    chan struct{} // closed at the release
	change  chan struct{} // closed at the next change; see wait
	failure error         // of a Failed end
	cause   error         // of a shutdown or finish that began here
	cut     func(error)   // ends the context of the drain that runs
	forced  End           // what cut the drain
	stack   []uintptr     // where the resource was made
	grace   time.Duration
	expiry  *time.Timer
	blocked blocking
	report  *shutdownRecord
}

// attend returns n's attendant, and makes it if there is none. The lock is held.
func (n *Node) attend() *attendant {
	if a := n.attendant(); a != nil {
		return a
	}
	a := &attendant{}
	a.next = n.first
	if n.first != nil {
		n.first.prev = &a.Node
	}
	n.first = &a.Node
	n.meta.store(n.meta.load() | attended)
	return a
}

// attendant returns n's attendant or nil. The lock is held.
func (n *Node) attendant() *attendant {
	if n.meta.load()&attended == 0 {
		return nil
	}
	// The head of the list is the first field of an attendant.
	return (*attendant)(unsafe.Pointer(n.first))
}

// A meta holds what is known of a resource beside its state. The id, kind and
// policy never change; the rest is stored under the lock.
//
//	  63       62 60  59 56   55 54   53 48  47                0
//	+----------+------+-----+--------+------+-------------------+
//	| attended | fate | end | policy | kind |        id         |
//	+----------+------+-----+--------+------+-------------------+
//
// fate is the end of the owner's handle: what it is told when it is used.
type meta uint64

const (
	idBits           = 48
	kindShift        = idBits
	policyShift      = 54
	endShift         = 56
	fateShift        = 60
	attended    meta = 1 << 63
)

func (m meta) id() uint64     { return uint64(m & (1<<idBits - 1)) }
func (m meta) kind() *erased  { return kinds[m>>kindShift&(maxKinds-1)].Load() }
func (m meta) policy() Policy { return Policy(m >> policyShift & 3) }
func (m meta) end() End       { return End(m >> endShift & 15) }
func (m meta) fate() End      { return End(m >> fateShift & 7) }

func (m meta) withEnd(e End) meta  { return m&^(15<<endShift) | meta(e)<<endShift }
func (m meta) withFate(e End) meta { return m&^(7<<fateShift) | meta(e)<<fateShift }

type metaWord struct{ v atomic.Uint64 }

func (w *metaWord) load() meta   { return meta(w.v.Load()) }
func (w *metaWord) store(m meta) { w.v.Store(uint64(m)) }

// Ids are made of the tick in which they are made and a number within it, so
// that an id is never used again, and tells its resource's age.
const (
	tick    = 100 * time.Millisecond
	seqBits = 17 // more in one tick borrow from the next; ticks last 6.8 years
)

var (
	start  = time.Now()
	lastID atomic.Uint64
)

func newID() uint64 {
	now := uint64(max(time.Since(start)/tick, 0)) << seqBits
	for {
		last := lastID.Load()
		id := max(last+1, now)
		if lastID.CompareAndSwap(last, id) {
			return id & (1<<idBits - 1)
		}
	}
}

// age returns how long ago id was made, to a tick.
func age(id uint64) time.Duration {
	return max(time.Since(start).Truncate(tick)-time.Duration(id>>seqBits)*tick, 0)
}

// formatID returns id as names and commands spell it.
func formatID(id uint64) string { return strconv.FormatUint(id, 36) }

// Locks guard the shape of the tree and all but the counts. A node has one of
// a few by its id, which costs it no memory. No two are ever held together, and
// none while a hook runs.
var locks [256]lock

func (n *Node) lock()   { locks[uint8(n.meta.load().id())].Lock() }
func (n *Node) unlock() { locks[uint8(n.meta.load().id())].Unlock() }

// broadcast wakes everybody in wait.
func (n *Node) broadcast() {
	n.lock()
	n.word.And(^uint64(watched))
	if a := n.attendant(); a != nil && a.change != nil {
		close(a.change)
		a.change = nil
	}
	n.unlock()
}

// wait returns true when ok is true of n's word, or false when done is closed
// first.
func (n *Node) wait(done <-chan struct{}, ok func(word) bool) bool {
	for {
		n.lock()
		// From here on every change broadcasts, so that none is missed
		// between the look and the wait.
		w := word(n.word.Or(uint64(watched)))
		if ok(w) {
			n.unlock()
			return true
		}
		a := n.attend()
		if a.change == nil {
			a.change = make(chan struct{})
		}
		change := a.change
		n.unlock()
		select {
		case <-change:
		case <-done:
			return false
		}
	}
}
