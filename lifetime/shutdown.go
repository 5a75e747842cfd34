package lifetime

import (
	"context"
	"errors"
	"time"
)

// A Report says what a shutdown did. There is one for each resource, final
// once: whoever waits to the end gets the identical one.
type Report struct {
	ID    uint64
	Name  string
	State State // Released, or how far it has come
	End   End
	Cause error // the first caller's; nil if nobody shut this resource down
	// Holders are the resources below that were held when the shutdown
	// began; in a report that is not final, those that are not released yet.
	Holders []Info
	Took    time.Duration // from the first call to the release; 0 if released before
}

// A shutdownRecord is a Report in the making.
type shutdownRecord struct {
	Report
	began time.Time
	final bool
}

// close makes the record final. n's lock is held.
func (r *shutdownRecord) close(n *Node) {
	r.State = Released
	r.End = n.meta.load().end()
	if !r.began.IsZero() {
		r.Took = time.Since(r.began)
	}
	r.final = true
}

// errNoCause stands in for a nil cause.
var errNoCause = errors.New("no cause given")

// Shutdown ends the resource and all below it, whatever the state and the
// policy: no child can be made any more, every operation is interrupted with
// [ErrShutdown], which wraps the cause of the first caller, drains are cut, and
// children are released before parents. It always aborts; [Node.Finish] is the
// graceful form. Shutdown is the same on any goroutine, any number of times.
//
// It returns when the resource is released, or, when ctx ends first, the state
// so far and [ErrHoldersAlive] with the names of those that have not left.
func (n *Node) Shutdown(ctx context.Context, cause error) (Report, error) {
	n.BeginShutdown(cause)
	return n.waitReleased(ctx, "shutdown")
}

// BeginShutdown is Shutdown for callers that must not wait. Done tells the end.
func (n *Node) BeginShutdown(cause error) {
	if n.recordShutdown(cause) {
		n.force(Closing, ShutDown)
	}
}

// Finish is the graceful form of Shutdown: as if every owner, here and below,
// dropped under [Refcount], without interrupting an operation. No child can be
// made and no operation can begin ([ErrShutdown], with the cause); those in
// flight go on to their end, then everything drains and is released.
//
// When ctx ends first it becomes a Shutdown, which has begun when Finish
// returns [ErrHoldersAlive]; call Shutdown to wait for it.
func (n *Node) Finish(ctx context.Context, cause error) (Report, error) {
	n.BeginFinish(cause)
	select {
	case <-n.Done():
	case <-ctx.Done():
		n.force(Closing, ShutDown)
	}
	return n.waitReleased(ctx, "finish")
}

// BeginFinish is Finish for callers that must not wait. Done tells the end.
func (n *Node) BeginFinish(cause error) {
	if n.recordShutdown(cause) {
		n.finish()
	}
}

// recordShutdown opens n's report, with the first caller's cause, unless n has
// been released.
func (n *Node) recordShutdown(cause error) bool {
	if cause == nil {
		cause = errNoCause
	}
	below := n.below()
	n.lock()
	defer n.unlock()
	w := n.load()
	if w.state() == Released {
		return false
	}
	a := n.attend()
	if a.report == nil {
		a.report = &shutdownRecord{began: time.Now()}
		a.report.Report = Report{ID: n.ID(), Name: n.Name(), Holders: below, Cause: cause}
	}
	// Who has heard a cause from above goes on hearing that one.
	if a.cause == nil && !w.forced() && n.meta.load().end() != Finished {
		a.cause = cause
	}
	return true
}

// finish drops on every owner's behalf, from the top down so that no child is
// made behind its back.
func (n *Node) finish() {
	children := n.disown(Finished)
	for _, c := range children {
		c.finish()
	}
	n.retire()
}

// disown takes the handle from its owner, who is told e from now on, without
// interrupting anything. It returns the children.
func (n *Node) disown(e End) []*Node {
	n.lock()
	var w word
	for {
		w = n.load()
		if !w.held() {
			n.unlock()
			return nil
		}
		if n.swap(w, w.with(Live)&^owner) {
			break
		}
	}
	n.recordFate(e)
	children := n.children(nil)
	n.unlock()
	if w&watched != 0 {
		n.broadcast() // a Block drop may wait
	}
	return children
}

// shutdownError returns ErrShutdown with the cause that ended n: its own, or
// that of the nearest above, which is the one that came down to it.
func (n *Node) shutdownError() error {
	for ; n != nil; n = n.parent {
		n.lock()
		var cause error
		if a := n.attendant(); a != nil {
			cause = a.cause
		}
		n.unlock()
		if cause != nil {
			return &shutdownError{cause}
		}
	}
	return ErrShutdown
}

// waitReleased waits for the release and returns the report.
func (n *Node) waitReleased(ctx context.Context, op string) (Report, error) {
	err := n.awaitRelease(ctx, op)
	if err == nil {
		return n.finalReport(), nil
	}
	r := n.interimReport()
	if r.State == Released {
		return n.finalReport(), nil
	}
	return r, err
}

// awaitRelease waits for the release. When ctx ends first, the error names what
// n waits for.
func (n *Node) awaitRelease(ctx context.Context, op string) error {
	select {
	case <-n.Done():
		return nil
	case <-ctx.Done():
	}
	if names := n.busy(); len(names) > 0 {
		return n.aliveError(op, names, ctx)
	}
	return nil // released, however ctx is
}

// finalReport returns the one report of a released resource.
func (n *Node) finalReport() Report {
	n.lock()
	defer n.unlock()
	a := n.attend()
	if a.report == nil {
		a.report = &shutdownRecord{Report: Report{ID: n.ID(), Name: n.Name()}}
	}
	if !a.report.final {
		a.report.close(n)
	}
	return a.report.Report
}

// interimReport returns the report so far.
func (n *Node) interimReport() Report {
	below := n.below()
	n.lock()
	defer n.unlock()
	r := n.attend().report.Report
	r.State, r.End, r.Holders = n.load().state(), n.meta.load().end(), below
	return r
}

// aliveError names what op on n waited for until ctx ended.
func (n *Node) aliveError(op string, holders []string, ctx context.Context) error {
	return &holdersError{op, n.Name(), holders, context.Cause(ctx)}
}
