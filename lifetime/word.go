package lifetime

import "strconv"

// A State is where a resource stands between its creation and its release.
type State uint8

// The states; the package comment draws the ways between them.
const (
	unborn   State = iota
	Live           // somebody can use it: its owner, or a child
	Dropping       // a [Block] drop waits for the children
	Trapped        // poisoned by a wrong drop order; every use fails
	Draining       // nobody can use it; what is owed is being finished
	Closing        // shut down; operations are leaving
	Released       // the host state is freed
	beingBorn
)

var stateNames = [...]string{"unborn", "live", "dropping", "trapped", "draining", "closing", "released", "being born"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "state(" + strconv.Itoa(int(s)) + ")"
}

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A word is the whole lifetime of a resource in one value, so that every race
// (acquire against last drop, drop against shutdown, leave against release)
// has one linearisation point:
//
//	 63        48 47          28 27          8    6     5       4      3     2   0
//	+------------+--------------+-------------+---+---------+---------+-----+-----+
//	| operations |     owed     |  children   |   | watched | claimed |owner|state|
//	+------------+--------------+-------------+---+---------+---------+-----+-----+
//
// children counts those that are not done; they hold the resource. owed counts
// the children that are done and not released, and the resource's own drain:
// they do not hold it, but it is released after them. operations counts Enter
// without Leave. owner is set until the owner's drop. claimed is set by the one
// caller that releases. watched asks for a broadcast at the next change.
type word uint64

const (
	stateMask word = 1<<3 - 1
	owner     word = 1 << 3
	claimed   word = 1 << 4
	watched   word = 1 << 5

	oneChild word = 1 << 8
	oneOwed  word = 1 << 28
	oneOp    word = 1 << 48
	opsFull  word = 1 << 63 // 32,768 operations: the last one may not enter

	countMask = 1<<20 - 1 // of children, and of owed
	opMask    = 1<<16 - 1
	maxOps    = int(opsFull/oneOp) - 1
)

// What Enter and Leave add, and what must be true after it for them to be
// through: the owner is there and the resource live, or nobody can be waiting.
const (
	enterDelta = uint64(oneOp)
	enterMask  = uint64(stateMask | owner | opsFull)
	enterWant  = uint64(word(Live) | owner)
	leaveDelta = ^uint64(oneOp - 1)
	leaveMask  = uint64(stateMask | watched | opsFull)
	leaveWant  = uint64(Live)
)

func (w word) state() State      { return State(w & stateMask) }
func (w word) children() int     { return int(w / oneChild & countMask) }
func (w word) ops() int          { return int(w / oneOp) }
func (w word) owned() bool       { return w&owner != 0 }
func (w word) with(s State) word { return w&^stateMask | word(s) }

// usable reports whether the owner may begin operations and make children, and
// an operation more has room.
func (w word) usable() bool { return uint64(w)&enterMask == enterWant }

// held reports whether the resource is not done yet.
func (w word) held() bool { s := w.state(); return s == Live || s == Dropping }

// forced reports whether a shutdown or a trap has begun, and not ended.
func (w word) forced() bool { s := w.state(); return s == Closing || s == Trapped }

// done reports whether the last holder of a resource that is still held just
// went, so that somebody must begin its drain.
func (w word) done() bool {
	return w.children() == 0 && (w.state() == Dropping || w.state() == Live && !w.owned())
}

// releasable reports whether nothing is left to wait for. The counts and the
// claim are all zero exactly when the bits above the owner's, watched aside, are.
func (w word) releasable() bool {
	return w&^(stateMask|owner|watched) == 0 && (w.forced() || w.state() == Draining)
}
