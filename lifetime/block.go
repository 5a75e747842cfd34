package lifetime

import "context"

// blocking is a Block drop that waits for the children.
type blocking struct {
	waiters int  // Drop calls that wait
	begun   bool // BeginDrop was called: there is no way back
	claimed bool // one waiter has taken the drop's nil
}

// beginBlocked counts a drop in. The lock is held.
func (n *Node) beginBlocked(wait bool) error {
	b := &n.attend().blocked
	switch {
	case wait:
		b.waiters++
	case b.begun:
		return ErrDropping
	default:
		b.begun = true
	}
	return nil
}

// waitBlocked waits until the last child's end has made the drop happen (see
// retire), something else has ended the resource, or ctx has ended.
func (n *Node) waitBlocked(ctx context.Context) (Left, error) {
	notDropping := func(w word) bool { return w.state() != Dropping }
	through := n.wait(ctx.Done(), notDropping)

	n.lock()
	b := &n.attend().blocked
	b.waiters--
	if !through && b.waiters == 0 && !b.begun {
		n.undrop()
	}
	m := n.meta.load()
	w := n.load()
	first := m.fate() == Dropped && !b.claimed && !b.begun
	b.claimed = b.claimed || first
	gaveUp := m.fate() == Open
	if gaveUp {
		n.count(GaveUp)
	}
	n.unlock()

	switch {
	case gaveUp:
		return Left{w.children(), n}, n.aliveError("drop", n.busy(), ctx)
	case m.fate() != Dropped:
		return Left{}, n.errorFor(m.fate(), nil)
	case !first:
		return Left{}, ErrDropped
	}
	return Left{}, n.awaitRelease(ctx, "drop")
}

// undrop takes a Block drop back that nobody waits for any more, unless it has
// gone through. If the last child is just about to make it do so, it finds the
// owner back. The lock is held.
func (n *Node) undrop() {
	for {
		w := n.load()
		if w.state() != Dropping || n.swap(w, w.with(Live)) {
			return
		}
	}
}
