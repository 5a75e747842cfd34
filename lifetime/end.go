package lifetime

import (
	"io"
	"strconv"
)

// An End says how a resource ended. The first end is kept, except that a
// shutdown, a trap or a failure that cuts a drain short replaces the drop or
// the finish that began it.
type End uint8

// The ends, and what [Node.Err] returns for each.
const (
	Open           End = iota // not ended: nil
	Dropped                   // its owner dropped it: ErrDropped
	WasTrapped                // a wrong drop order: ErrTrapped
	ClosedByParent            // a CloseChildren drop above: ErrClosedByParent
	ShutDown                  // a shutdown here or above: ErrShutdown, with its cause
	Finished                  // a graceful finish here or above: ErrShutdown, with its cause
	Lost                      // its owner was collected without a drop: ErrDropped
	PeerClosed                // the peer finished: io.EOF
	Failed                    // an operation failed for good: that error
)

var endNames = [...]string{"open", "dropped", "trapped", "closed-by-parent", "shutdown", "finished", "lost", "peer-closed", "failed"}

// String returns the end's name.
func (e End) String() string {
	if int(e) < len(endNames) {
		return endNames[e]
	}
	return "end(" + strconv.Itoa(int(e)) + ")"
}

// MarshalText returns what String does.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// replaces reports whether e may be recorded over old.
func (e End) replaces(old End) bool {
	switch old {
	case Open:
		return true
	case Dropped, Finished, Lost:
		return e == Failed || e == WasTrapped || e == ClosedByParent || e == ShutDown
	}
	return false
}

// Ended records how the resource ended as far as the outside is concerned:
// [PeerClosed], or [Failed] with the error that will be [Node.Err]. It does not
// end anything by itself. What our own side did before wins: a reset that
// follows our own shutdown is not a failure. One that follows a drop or a
// finish is: what was owed is lost.
func (n *Node) Ended(e End, err error) {
	if e != PeerClosed && e != Failed {
		panic("lifetime: Ended takes PeerClosed or Failed, not " + e.String())
	}
	n.mustBeBorn()
	n.lock()
	defer n.unlock()
	n.recordEnd(e, err)
}

// recordEnd keeps e and err if they may replace what is there. The lock is held.
func (n *Node) recordEnd(e End, err error) {
	if n.load().state() == Released || !e.replaces(n.meta.load().end()) {
		return
	}
	if e == Failed {
		n.attend().failure = err
	}
	n.meta.store(n.meta.load().withEnd(e))
}

// End returns how the resource ended, or [Open].
func (n *Node) End() End { return n.meta.load().end() }

// Err returns nil while the resource has not ended, and then the error that
// its [End] stands for. It stays what it is after the release.
func (n *Node) Err() error {
	n.lock()
	e := n.meta.load().end()
	var failure error
	if e == Failed {
		failure = n.attend().failure
	}
	n.unlock()
	return n.errorFor(e, failure)
}

// errorFor returns the error for an end.
func (n *Node) errorFor(e End, failure error) error {
	switch e {
	case PeerClosed:
		return io.EOF
	case Dropped, Lost:
		return ErrDropped
	case Failed:
		return failure
	case WasTrapped:
		return ErrTrapped
	case ClosedByParent:
		return ErrClosedByParent
	case ShutDown, Finished:
		return n.shutdownError()
	}
	return nil
}
