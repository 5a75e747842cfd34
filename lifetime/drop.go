package lifetime

import "context"

// Left says what a drop left behind.
type Left struct {
	// Children is how many children still hold the resource.
	Children int
	node     *Node
}

// Names returns the names of the children that hold the resource by now.
func (l Left) Names() []string {
	if l.node == nil {
		return nil
	}
	return l.node.holders()
}

// Drop gives the owner's handle up. Operations in flight on this handle, and on
// no other, are interrupted with [ErrDropped]; Drop returns after they have
// left, so it must not be called from inside one.
//
// With children left, the policy decides: under [Refcount] Drop succeeds and
// says how many there are; under [Trap] it returns a [*TrapError] and aborts
// the resource and all below it; under [CloseChildren] it ends the children
// with [ErrClosedByParent] and waits until they are released; under [Block] it
// waits until they are gone and the resource is released, while no new ones can
// be made.
//
// A second drop returns [ErrDropped] and changes nothing (under Trap, a
// *TrapError). On a resource that was trapped, shut down, finished or closed by
// its parent Drop returns nil, so that cleaning up is always possible; a Block
// drop that was waiting then returns the reason.
//
// When ctx ends first, Drop returns [ErrHoldersAlive] with the names. Under
// Block the owner then still owns, unless the children went and only the drain
// was left; under the other policies the drop has happened.
func (n *Node) Drop(ctx context.Context) (Left, error) {
	left, wait, err := n.drop(true)
	if err != nil {
		return left, err
	}
	switch wait {
	case forOperations:
		if !n.wait(ctx.Done(), noOps) {
			return left, n.aliveError("drop", []string{n.Name()}, ctx)
		}
	case forRelease:
		return left, n.awaitRelease(ctx, "drop")
	case forChildren:
		return n.waitBlocked(ctx)
	}
	return left, nil
}

// BeginDrop is Drop for callers that must not wait: it begins the drop and
// returns. Under [Block] with children the drop happens by itself when the last
// child is gone, and cannot be taken back; every other outcome is as Drop's.
// Done tells the end.
func (n *Node) BeginDrop() (Left, error) {
	left, _, err := n.drop(false)
	return left, err
}

// waiting is what a drop that has begun waits for.
type waiting uint8

const (
	forNothing waiting = iota
	forOperations
	forRelease
	forChildren
)

func noOps(w word) bool { return w.ops() == 0 }

// drop takes the step of a drop that its policy calls for.
func (n *Node) drop(wait bool) (Left, waiting, error) {
	n.lock()
	var w word
	var p Policy
	for {
		w = n.load()
		m := n.meta.load()
		p = m.policy()
		if f := m.fate(); f != Open {
			if f == Dropped || f == Lost {
				n.count(Again)
			}
			n.unlock()
			return Left{}, forNothing, n.dropAgain(m)
		}
		if w.state() == unborn || w.state() == beingBorn {
			n.unlock()
			panic("lifetime: drop of a resource before its Init")
		}
		if w.children() == 0 && w.state() != Dropping {
			p = Refcount // without children all policies are alike
		}
		if p == Trap {
			children := n.children(nil)
			n.count(Refused)
			n.unlock()
			return Left{}, forNothing, n.trap("drop", holdersOf(children))
		}
		next := w &^ owner
		if w.ops() > 0 {
			next += oneOwed // n stays until the interrupt is over
		}
		if p == Block {
			next = w.with(Dropping)
		}
		if n.swap(w, next) {
			break
		}
	}
	left := Left{w.children(), n}
	if p == CloseChildren {
		left = Left{} // they are closed by the time anybody looks
	}
	if p == Block {
		err := n.beginBlocked(wait)
		n.unlock()
		return left, forChildren, err
	}
	n.recordFate(Dropped)
	n.count(dropOutcome(p, left.Children))
	if left.Children > 0 {
		n.startExpiry()
	}
	n.unlock()
	return left, n.dropped(w, p), nil
}

// dropped does the rest of a drop that went through. w is the word before it.
func (n *Node) dropped(w word, p Policy) waiting {
	if w.ops() > 0 {
		n.interrupt(ErrDropped)
	}
	if p == CloseChildren {
		n.lock()
		children := n.children(nil)
		n.unlock()
		for _, c := range children {
			c.closeByParent()
		}
	}
	n.retire()
	if w.ops() > 0 {
		n.changed(n.sub(oneOwed)) // see drop
	}
	switch {
	case p == CloseChildren:
		return forRelease
	case w.ops() > 0:
		return forOperations
	}
	return forNothing
}

// closeByParent ends a child whose parent was dropped, unless it is draining:
// what it owes then is finished.
func (n *Node) closeByParent() {
	if n.load().held() {
		n.force(Closing, ClosedByParent)
	}
}

// dropAgain is the result of dropping a handle that is dead already.
func (n *Node) dropAgain(m meta) error {
	switch m.fate() {
	case Dropped, Lost:
		if m.policy() == Trap {
			return n.trap("drop", n.holders())
		}
		return ErrDropped
	}
	return nil
}

// trap poisons n and all below it, and returns the error that says why.
func (n *Node) trap(op string, holders []string) error {
	err := &TrapError{Op: op, Name: n.Name(), Holders: holders}
	n.force(Trapped, WasTrapped)
	return err
}
