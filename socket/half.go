package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"relayd/lifetime"
)

// A ReadHalf is the incoming direction of a socket. It is an io.Reader.
type ReadHalf struct {
	node      lifetime.Node
	s         *Socket
	mode      atomic.Uint32 // a DropMode
	woken     errorOnce     // why operations were interrupted
	taken     atomic.Bool
	sawEOF    atomic.Bool
	discarded atomic.Int64
	flow      flow // while a loop copies from it
}

// A WriteHalf is the outgoing direction of a socket. It is an io.Writer.
type WriteHalf struct {
	node  lifetime.Node
	taken atomic.Bool
	s     *Socket
	woken errorOnce   // why operations were interrupted
	cut   atomic.Bool // a Write was woken before its end
}

// A DropMode says what the drop of a read half does to the peer that goes on
// sending.
type DropMode uint8

// The modes.
const (
	// DropDiscard: what arrives is thrown away, so that the peer is never
	// stalled. The default.
	DropDiscard DropMode = iota
	// DropStop: nothing is read any more. The peer is stalled when the
	// system's buffers are full, as by shutdown(2) with SHUT_RD, until the
	// socket drains.
	DropStop
	// DropReset: the connection is reset.
	DropReset
)

// Errors that end a connection on our side.
var (
	errAborted      = ended("aborted: the stream that was sent is not whole")
	errReadReset    = ended("reset by the drop of its read half")
	errDiscardLimit = ended("reset: the peer went on sending to a read half that was dropped")
)

// ended is an error of our own making: it satisfies errors.Is for net.ErrClosed.
type ended string

func (e ended) Error() string        { return string(e) }
func (e ended) Is(target error) bool { return target == net.ErrClosed }

var (
	readKind = lifetime.NewKind(lifetime.Hooks[ReadHalf]{
		Name:         "read",
		Interrupt:    (*ReadHalf).interrupt,
		Owed:         (*ReadHalf).discards,
		Drain:        (*ReadHalf).drain,
		DrainTimeout: -1, // the socket's drain ends it
		Release:      (*ReadHalf).release,
	})
	writeKind = lifetime.NewKind(lifetime.Hooks[WriteHalf]{
		Name:      "write",
		Interrupt: (*WriteHalf).interrupt,
		Release:   (*WriteHalf).release,
	})
)

func (r *ReadHalf) interrupt(cause error) {
	r.woken.set(cause)
	r.s.t.interruptRead()
}

func (w *WriteHalf) interrupt(cause error) {
	w.woken.set(cause)
	w.s.t.interruptWrite()
}

// Read reads what has arrived, and waits if nothing has. It returns io.EOF when
// the peer has finished, and never for another reason. A drop of this half or a
// shutdown wakes it, with an error that says which.
func (r *ReadHalf) Read(p []byte) (int, error) {
	if err := r.node.Enter(); err != nil {
		return 0, r.s.error("read", err)
	}
	defer r.node.Leave()
	n, err := r.s.t.Read(p)
	if err != nil {
		err = r.failed(err)
	}
	return n, err
}

// Ready reports whether a Read would not wait, because bytes have arrived.
// After the peer has finished or the half was dropped it may say either.
func (r *ReadHalf) Ready() bool {
	if r.node.Enter() != nil {
		return true
	}
	defer r.node.Leave()
	return r.s.t.ready()
}

// failed returns what an operation is to return for an error of the transport.
func (r *ReadHalf) failed(err error) error {
	if own := ownEnd(&r.node, &r.woken, err); own != nil {
		return r.s.error("read", own)
	}
	if err == io.EOF {
		return r.ended(r.reset())
	}
	return r.broken(err)
}

// ended returns what an operation is to return at the end of the stream, which
// may be that of a connection that was reset.
func (r *ReadHalf) ended(reset bool) error {
	if reset {
		return r.broken(syscall.ECONNRESET)
	}
	r.sawEOF.Store(true)
	r.node.Ended(lifetime.PeerClosed, nil)
	return io.EOF
}

// broken records what ended the connection.
func (r *ReadHalf) broken(err error) error {
	err = r.s.fail(reason(err))
	r.node.Ended(lifetime.Failed, err)
	return r.s.error("read", err)
}

// reset reports whether the silence that a read met is not the peer's end. A
// reset is reported once: if the write half met it first, reads return 0. So it
// is an end only if nothing has failed and, while our FIN is not out, the kernel
// still has the connection.
func (r *ReadHalf) reset() bool {
	return r.s.fatal.get() != nil || !r.s.fin.Load() && r.s.t.vanished()
}

// Resource returns the half's place in the tree.
func (r *ReadHalf) Resource() *lifetime.Node { return &r.node }

// SetDropMode says what the half's drop does to a peer that goes on sending.
func (r *ReadHalf) SetDropMode(m DropMode) { r.mode.Store(uint32(m)) }

// Drop gives the half up and returns after its Read, if one is blocked, has
// left with [lifetime.ErrDropped]. The write half is not disturbed. What the
// peer sends from then on is the [DropMode]'s matter.
func (r *ReadHalf) Drop(ctx context.Context) error {
	_, err := r.node.Drop(ctx)
	return err
}

// discards reports whether the half, now dropped, has something to throw away.
func (r *ReadHalf) discards() bool {
	return DropMode(r.mode.Load()) == DropDiscard && !r.sawEOF.Load() && r.s.fatal.get() == nil && r.s.t.drains()
}

// drain throws away what arrives, so that the peer is not stalled, until its
// FIN or until the socket has drained.
func (r *ReadHalf) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.s.stopDiscarding)
	defer stop()
	r.s.discard()
	return nil
}

func (r *ReadHalf) release() {
	if DropMode(r.mode.Load()) == DropReset && r.node.State() == lifetime.Draining {
		r.s.abort(errReadReset)
	}
}

// Write writes all of p, and waits while the peer does not take it. A drop of
// this half or a shutdown wakes it, with an error that says which; the
// connection is then reset, because the stream lacks its tail.
func (w *WriteHalf) Write(p []byte) (int, error) {
	if err := w.node.Enter(); err != nil {
		return 0, w.s.error("write", err)
	}
	defer w.node.Leave()
	n, err := w.s.t.Write(p)
	if err != nil {
		err = w.failed(err)
	}
	return n, err
}

func (w *WriteHalf) failed(err error) error {
	if own := ownEnd(&w.node, &w.woken, err); own != nil {
		if own != os.ErrDeadlineExceeded { // who set one knows what n is for
			w.cut.Store(true)
		}
		return w.s.error("write", own)
	}
	err = w.s.fail(reason(err))
	w.node.Ended(lifetime.Failed, err)
	return w.s.error("write", err)
}

// Flush polls: nothing wakes anybody when a send queue becomes empty.
const (
	flushPollMin = time.Millisecond
	flushPollMax = 50 * time.Millisecond
)

// Flush waits until the peer has acknowledged all that was written, or ctx
// ends. Kinds and systems that cannot tell return at once, and so does a
// connection that has failed.
func (w *WriteHalf) Flush(ctx context.Context) error {
	for pause := flushPollMin; ; pause = min(2*pause, flushPollMax) {
		if err := w.node.Enter(); err != nil {
			return w.s.error("flush", err)
		}
		left := w.s.t.unsent()
		w.node.Leave()
		if left == 0 || w.s.fatal.get() != nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return w.s.error("flush", context.Cause(ctx))
		}
	}
}

// Resource returns the half's place in the tree.
func (w *WriteHalf) Resource() *lifetime.Node { return &w.node }

// Drop gives the half up: FIN follows what was written. A Write that is blocked
// is woken with [lifetime.ErrDropped] first, and then the end is a reset.
func (w *WriteHalf) Drop(ctx context.Context) error {
	_, err := w.node.Drop(ctx)
	return err
}

// Abort gives the half up without FIN and resets the connection at once, the
// read half included: it is the way to say that the stream is not whole. What
// was written and not acknowledged is lost. It does not wait. On a half that was
// dropped before it does nothing.
func (w *WriteHalf) Abort() {
	if w.node.Enter() != nil {
		return
	}
	w.node.Ended(lifetime.Failed, errAborted)
	w.s.abort(errAborted)
	w.node.BeginDrop()
	w.node.Leave()
}

// release ends the direction: with FIN, or with a reset if the stream lacks its
// tail. After a shutdown the socket's own end says it all.
func (w *WriteHalf) release() {
	switch {
	case w.node.End() == lifetime.ClosedByParent:
		// Whoever dropped the socket has cut the stream, and knows it.
		w.s.fatal.set(lifetime.ErrClosedByParent)
		w.s.t.disconnect()
	case w.node.State() != lifetime.Draining:
	case w.cut.Load():
		w.s.abort(errAborted)
	default:
		w.s.finish()
	}
}

// ownEnd returns what ended an operation inside n on our side, or nil if err came
// from outside. The two look alike from below: our own interrupt is a deadline,
// and our own shutdown looks like a reset.
func ownEnd(n *lifetime.Node, woken *errorOnce, err error) error {
	if cause := woken.get(); cause != nil {
		return cause
	}
	if n.State() != lifetime.Live {
		if own := n.Err(); errors.Is(own, net.ErrClosed) {
			return own
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return nil
}
