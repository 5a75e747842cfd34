package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"relayd/lifetime"
)

// A ReadHalf is the incoming direction of a socket. It is an io.Reader.
type ReadHalf struct {
	node lifetime.Node
	flow flow // while a loop copies from it
}

// A WriteHalf is the outgoing direction of a socket. It is an io.Writer.
type WriteHalf struct {
	node lifetime.Node
}

// Halves stand inside of their socket, and need no pointer to find it.

func (r *ReadHalf) socket() *Socket {
	return (*Socket)(unsafe.Add(unsafe.Pointer(r), -int(unsafe.Offsetof(Socket{}.r))))
}

func (w *WriteHalf) socket() *Socket {
	return (*Socket)(unsafe.Add(unsafe.Pointer(w), -int(unsafe.Offsetof(Socket{}.w))))
}

// A DropMode says what the drop of a read half does to the peer that goes on
// sending.
type DropMode uint8

// The modes.
const (
	// DropDiscard: what arrives is thrown away, so that the peer is never
	// stalled; if an event loop copies to the socket meanwhile, not before that
	// is over. The default.
	DropDiscard DropMode = iota
	// DropStop: nothing is read any more. The peer is stalled when the
	// system's buffers are full, as by shutdown(2) with SHUT_RD, until the
	// socket drains.
	DropStop
	// DropReset: the connection is reset.
	DropReset
)

// errReset is what a read returns for a reset that another operation has met.
const errReset = syscall.ECONNRESET

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
		Name:         "write",
		Interrupt:    (*WriteHalf).interrupt,
		Owed:         (*WriteHalf).owed,
		Drain:        (*WriteHalf).drain,
		DrainTimeout: -1, // the socket's drain ends it, or whoever watches the other half
		Release:      (*WriteHalf).release,
	})
)

// wokenBy returns why operations were interrupted, or nil.
func (r *ReadHalf) wokenBy() error {
	if x := r.socket().rare.Load(); x != nil {
		return x.readWoken.get()
	}
	return nil
}

func (w *WriteHalf) wokenBy() error {
	if x := w.socket().rare.Load(); x != nil {
		return x.writeWoken.get()
	}
	return nil
}

func (r *ReadHalf) interrupt(cause error) {
	r.socket().unusual().readWoken.set(cause)
	r.socket().t.interruptRead()
}

func (w *WriteHalf) interrupt(cause error) {
	w.socket().unusual().writeWoken.set(cause)
	w.socket().t.interruptWrite()
}

// Read reads what has arrived, and waits if nothing has. It returns io.EOF when
// the peer has finished, and never for another reason. A drop of this half or a
// shutdown wakes it, with an error that says which.
func (r *ReadHalf) Read(p []byte) (int, error) {
	if err := r.node.Enter(); err != nil {
		return 0, r.socket().error("read", err)
	}
	defer r.node.Leave()
	if n := r.again(p); n > 0 {
		return n, nil
	}
	n, err := r.socket().t.Read(p)
	if n > 0 {
		r.saw(p[:n])
	}
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
	return r.hasAgain() || r.socket().t.ready()
}

// failed returns what an operation is to return for an error of the transport.
func (r *ReadHalf) failed(err error) error {
	if own := r.socket().ownEnd(&r.node, r.wokenBy(), err); own != nil {
		return r.socket().error("read", own)
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
		return r.broken(errReset)
	}
	r.socket().marks.set(sawEOF)
	r.node.Ended(lifetime.PeerClosed, nil)
	return io.EOF
}

// broken records what ended the connection.
func (r *ReadHalf) broken(err error) error {
	err = r.socket().fail(reason(err))
	r.node.Ended(lifetime.Failed, err)
	return r.socket().error("read", err)
}

// reset reports whether the silence that a read met is not the peer's end. A
// reset is reported once: if the write half met it first, reads return 0. So it
// is an end only if nothing has failed and, while our FIN is not out, the kernel
// still has the connection. A close_notify, the end of a program's output and that
// of a pipe are the peer's own word, whatever a write has met, unless we have broken
// it off.
func (r *ReadHalf) reset() bool {
	s := r.socket()
	switch s.t.(type) {
	case *tlsTransport, *execTransport, *stdioTransport:
		return s.marks.has(brokenOff)
	}
	return s.failure() != nil || !s.marks.has(finSent) && s.t.vanished()
}

// Resource returns the half's place in the tree.
func (r *ReadHalf) Resource() *lifetime.Node { return &r.node }

// SetDropMode says what the half's drop does to a peer that goes on sending.
func (r *ReadHalf) SetDropMode(m DropMode) {
	marks := &r.socket().marks
	marks.clear(dropStops | dropResets)
	switch m {
	case DropStop:
		marks.set(dropStops)
	case DropReset:
		marks.set(dropResets)
	}
}

// Drop gives the half up and returns after its Read, if one is blocked, has
// left with [lifetime.ErrDropped]. The write half is not disturbed. What the
// peer sends from then on is the [DropMode]'s matter.
func (r *ReadHalf) Drop(ctx context.Context) error {
	_, err := r.node.Drop(ctx)
	return err
}

// discards reports whether the half, now dropped, has something to throw away.
func (r *ReadHalf) discards() bool {
	return !r.socket().marks.has(dropStops|dropResets) && !r.socket().marks.has(sawEOF) && r.socket().failure() == nil && r.socket().t.drains()
}

// drain throws away what arrives, so that the peer is not stalled, until its
// FIN or until the socket has drained.
func (r *ReadHalf) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.socket().stopDiscarding)
	defer stop()
	r.socket().discard()
	return nil
}

func (r *ReadHalf) release() {
	if r.socket().marks.has(dropResets) && r.node.State() == lifetime.Draining {
		r.socket().abort(errReadReset)
	}
}

// Write writes all of p, and waits while the peer does not take it. A drop of
// this half or a shutdown wakes it, with an error that says which; the
// connection is then reset, because the stream lacks its tail.
func (w *WriteHalf) Write(p []byte) (int, error) {
	if err := w.node.Enter(); err != nil {
		return 0, w.socket().error("write", err)
	}
	defer w.node.Leave()
	n, err := w.socket().t.Write(p)
	if err != nil {
		err = w.failed(err)
	}
	return n, err
}

func (w *WriteHalf) failed(err error) error {
	if own := w.socket().ownEnd(&w.node, w.wokenBy(), err); own != nil {
		if own != os.ErrDeadlineExceeded { // who set one knows what n is for
			w.socket().marks.set(writeCut)
			if _, ok := w.socket().t.(farewell); ok && own == lifetime.ErrDropped {
				w.socket().abort(errAborted) // now, as its drain comes later
			}
		}
		return w.socket().error("write", own)
	}
	err = w.socket().fail(reason(err))
	w.node.Ended(lifetime.Failed, err)
	return w.socket().error("write", err)
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
			return w.socket().error("flush", err)
		}
		left := w.socket().t.unsent()
		w.node.Leave()
		if left == 0 || w.socket().failure() != nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return w.socket().error("flush", context.Cause(ctx))
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
	w.socket().abort(errAborted)
	w.node.BeginDrop()
	w.node.Leave()
}

// release ends the direction: with FIN, or with a reset if the stream lacks its
// tail. After a shutdown the socket's own end says it all.
func (w *WriteHalf) release() {
	switch {
	case w.node.End() == lifetime.ClosedByParent:
		// Whoever dropped the socket has cut the stream, and knows it.
		w.socket().unusual().fatal.set(lifetime.ErrClosedByParent)
		w.socket().breakOff()
	case w.node.State() != lifetime.Draining:
	case w.socket().marks.has(writeCut):
		w.socket().abort(errAborted)
	default:
		w.socket().finish()
	}
}

// owed reports whether the end of the stream has to wait: it is more than a FIN,
// and the system has no room for it, or a Write that was woken has not left.
func (w *WriteHalf) owed() bool {
	f, ok := w.socket().t.(farewell)
	return ok && w.whole() && (w.wokenBy() != nil || !f.bidFarewell())
}

// whole reports whether nothing of what was written is known to be lost.
func (w *WriteHalf) whole() bool {
	return w.node.State() == lifetime.Draining && w.socket().failure() == nil && !w.socket().marks.has(writeCut)
}

// drain waits for room for the end of the stream.
func (w *WriteHalf) drain(ctx context.Context) error {
	if !w.whole() {
		return nil
	}
	f := w.socket().t.(farewell)
	stop := context.AfterFunc(ctx, f.cutFarewell)
	defer stop()
	err := f.waitFarewell()
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if w.socket().failure() != nil {
		return nil // it has ended the wait
	}
	return w.socket().fail(reason(err))
}

// ownEnd returns what ended an operation inside n on our side, or nil if err came
// from outside. The two look alike from below: our own interrupt is a deadline,
// and our own shutdown looks like a reset.
func ownEnd(n *lifetime.Node, woken, err error) error {
	if woken != nil {
		return woken
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

// ownEnd is that of an operation of a half. A shutdown reaches the socket before its
// halves, and who shuts down beside the first resets the connection at once: what
// looks like the peer's reset is ours, whether the half has heard of it or not.
func (s *Socket) ownEnd(half *lifetime.Node, woken, err error) error {
	own := ownEnd(half, woken, err)
	if own != nil && own != os.ErrDeadlineExceeded || s.node.State() != lifetime.Closing {
		return own
	}
	if e := s.node.Err(); errors.Is(e, lifetime.ErrShutdown) {
		return e
	}
	return lifetime.ErrShutdown // of a socket that had ended before
}
