package lifetime

import "context"

// retire begins the drain of a resource whose last holder is gone. Any number
// of callers may try; one wins.
func (n *Node) retire() {
	n.lock()
	var w word
	for {
		w = n.load()
		if !w.done() {
			n.unlock()
			return
		}
		// What is owed from here on is this very call, and then the drain: n
		// cannot be released before its parent knows that it is done.
		if n.swap(w, w.with(Draining)&^owner+oneOwed) {
			break
		}
	}
	if w.owned() { // a Block drop that is through
		n.recordFate(Dropped)
		n.count(Waited)
	}
	n.stopExpiry()
	n.unlock()
	if w.owned() {
		n.interrupt(ErrDropped)
	}
	n.parent.childDone()
	if k := n.meta.load().kind(); k.drain != nil && (k.owed == nil || k.owed(n)) {
		if w&watched != 0 {
			n.broadcast()
		}
		go n.drain(k)
		return
	}
	n.changed(n.sub(oneOwed))
}

// childDone turns a child that held n into one that is owed its release.
func (n *Node) childDone() {
	w := n.add(oneOwed - oneChild)
	if w.done() {
		n.retire()
		return
	}
	if w&watched != 0 {
		n.broadcast()
	}
}

// drain runs the Drain hook, on a goroutine that the resource waits for: it is
// not released before.
func (n *Node) drain(k *erased) {
	ctx, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	n.lock()
	a := n.attend()
	a.cut = cut
	forced, by := n.load().forced(), a.forced
	n.unlock()
	if forced { // before it began
		cut(n.errorFor(by, nil))
	}
	n.quiet()
	if k.drainTimeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, k.drainTimeout)
		defer stop()
	}
	if err := k.drain(ctx, n); err != nil {
		n.lock()
		n.recordEnd(Failed, err)
		n.unlock()
	}
	n.changed(n.sub(oneOwed))
}

// quiet waits until the last operation at or below n has left. They were
// interrupted, or are let go on by a finish.
func (n *Node) quiet() {
	n.wait(nil, noOps)
	for _, c := range n.kids() {
		c.quiet()
	}
}

// settle releases n if nothing is left to wait for, and then whatever above it
// was waiting for that. It climbs in a loop: a tree may be deep.
func (n *Node) settle() {
	for n.claim() {
		m := n.meta.load()
		if k := m.kind(); k.release != nil {
			k.release(n)
		}
		parent := n.parent
		parent.lock()
		parent.detach(n)
		parent.unlock()
		n.finalise()
		w := parent.sub(oneOwed)
		if w&watched != 0 {
			parent.broadcast()
		}
		n = parent
	}
}

// claim makes the caller the one that releases n.
func (n *Node) claim() bool {
	for {
		w := n.load()
		if !w.releasable() {
			return false
		}
		if n.swap(w, w|claimed) {
			return true
		}
	}
}

// finalise makes the release known.
func (n *Node) finalise() {
	n.lock()
	w := n.load()
	for !n.swap(w, w.with(Released)&^watched) {
		w = n.load()
	}
	a := n.attendant()
	if a != nil {
		if a.report != nil {
			a.report.close(n)
		}
		if a.done != nil {
			close(a.done)
		}
		if a.change != nil {
			close(a.change)
			a.change = nil
		}
		a.cut = nil
	}
	n.unlock()
}

// recordFate keeps what the handle's user is told from now on, and the end. The
// lock is held.
func (n *Node) recordFate(e End) {
	if m := n.meta.load(); m.fate() == Open {
		n.meta.store(m.withFate(e))
	}
	n.recordEnd(e, nil)
}

// force ends n and all below it: children before parents, and nothing waits.
// to is Closing or Trapped. Who comes second finds everything under way.
func (n *Node) force(to State, e End) {
	n.lock()
	var w word
	for {
		w = n.load()
		if !w.held() && w.state() != Draining || w&claimed != 0 {
			n.unlock()
			return
		}
		// As in retire, n stays until this call is through with it.
		if n.swap(w, w.with(to)+oneOwed) {
			break
		}
	}
	n.recordFate(e)
	n.stopExpiry()
	var few [8]*Node
	children := n.children(few[:0])
	var cut func(error)
	if w.state() == Draining {
		a := n.attend()
		cut, a.cut = a.cut, nil
		a.forced = e // for a drain that has not begun
	}
	n.unlock()

	for _, c := range children {
		c.force(to, e)
	}
	if w.held() {
		n.parent.childDone()
	}
	cause := n.errorFor(e, nil)
	if cut != nil {
		cut(cause)
	}
	n.interrupt(cause)
	n.changed(n.sub(oneOwed))
}

// interrupt wakes the operations inside n, now that its handle is dead.
func (n *Node) interrupt(cause error) {
	if k := n.meta.load().kind(); k.interrupt != nil && n.load().ops() > 0 {
		k.interrupt(n, cause)
	}
}

// stopExpiry ends the grace, now that nothing forgotten can hold n. The lock is
// held.
func (n *Node) stopExpiry() {
	if a := n.attendant(); a != nil && a.expiry != nil {
		a.expiry.Stop()
		a.expiry = nil
	}
}
