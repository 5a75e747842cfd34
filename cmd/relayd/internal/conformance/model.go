package conformance

import (
	"context"
	"io"
	"sync/atomic"
	"syscall"

	"relayd/lifetime"
	"relayd/socket"
)

// A model is the kind called library: a connection of memory whose lifetime is
// package lifetime's and nothing else's. It shows what a policy does without a
// kernel in the way, and it counts its releases.
type model struct {
	lifetime.Node
	wire     *wire
	r        modelRead
	w        modelWrite
	releases atomic.Int32
}

// A modelRead is the read half of a model.
type modelRead struct {
	lifetime.Node
	m        *model
	woken    error // the first interrupt's cause; guarded by the wire's lock
	releases atomic.Int32
}

// A modelWrite is the write half of a model.
type modelWrite struct {
	lifetime.Node
	m        *model
	woken    error // as a modelRead's
	cut      atomic.Bool
	releases atomic.Int32
}

var (
	modelKind = lifetime.NewKind(lifetime.Hooks[model]{
		Name:    "model",
		Owed:    (*model).owed,
		Drain:   (*model).drain,
		Release: (*model).release,
	})
	modelReadKind = lifetime.NewKind(lifetime.Hooks[modelRead]{
		Name:      "read",
		Interrupt: (*modelRead).interrupt,
		Release:   (*modelRead).release,
	})
	modelWriteKind = lifetime.NewKind(lifetime.Hooks[modelWrite]{
		Name:      "write",
		Interrupt: (*modelWrite).interrupt,
		Release:   (*modelWrite).release,
	})
)

func newModel(ctx context.Context, parent *lifetime.Node, p lifetime.Policy) (*model, error) {
	m := &model{wire: newWire(ctx)}
	m.r.m, m.w.m = m, m
	return m, modelKind.Init(m, parent, p)
}

func (m *model) receive() (reader, error) {
	if err := modelReadKind.Init(&m.r, &m.Node, m.Policy()); err != nil {
		return nil, err
	}
	return &m.r, nil
}

func (m *model) send() (writer, error) {
	if err := modelWriteKind.Init(&m.w, &m.Node, m.Policy()); err != nil {
		return nil, err
	}
	return &m.w, nil
}

// shutdown has no kernel to ask.
func (m *model) shutdown(ctx context.Context, cause error) (socket.Report, error) {
	r, err := m.Shutdown(ctx, cause)
	return socket.Report{Report: r, Kernel: socket.NoKernel}, err
}

// owed reports whether the model has yet to finish, or its peer.
func (m *model) owed() bool {
	m.wire.mu.Lock()
	defer m.wire.mu.Unlock()
	return !m.wire.reset && !(m.wire.fin && m.wire.peerFin)
}

// drain sends our end and waits for the peer's, which must have taken all.
func (m *model) drain(ctx context.Context) error {
	w := m.wire
	stop := context.AfterFunc(ctx, w.changed.Broadcast)
	defer stop()
	w.finish()
	w.set(&w.noReader)
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.reset && !(w.peerFin && len(w.down) == 0) && !w.expired {
		if err := ctx.Err(); err != nil {
			if m.State() == lifetime.Draining && len(w.down) > 0 {
				return &socket.TruncatedError{Unsent: len(w.down)}
			}
			return nil
		}
		w.changed.Wait()
	}
	return nil
}

func (m *model) release() {
	m.releases.Add(1)
	if m.State() != lifetime.Draining {
		m.wire.set(&m.wire.reset)
	}
	m.wire.set(&m.wire.closed)
}

// Resource returns the half's place in the tree.
func (r *modelRead) Resource() *lifetime.Node { return &r.Node }

// Drop drops the half.
func (r *modelRead) Drop(ctx context.Context) error { _, err := r.Node.Drop(ctx); return err }

func (r *modelRead) interrupt(cause error) { r.m.wire.wake(&r.woken, cause) }

func (r *modelRead) release() {
	r.releases.Add(1)
	r.m.wire.set(&r.m.wire.noReader)
}

// Read reads as a socket's half does.
func (r *modelRead) Read(p []byte) (int, error) {
	if err := r.Enter(); err != nil {
		return 0, err
	}
	defer r.Leave()
	n, err := r.m.wire.take(&r.m.wire.up, p, r.end)
	switch {
	case err == nil || isClosed(err): // bytes, or our own end
	case err == io.EOF:
		r.Ended(lifetime.PeerClosed, nil)
	default:
		r.Ended(lifetime.Failed, err)
		r.m.Ended(lifetime.Failed, err)
	}
	return n, err
}

func (r *modelRead) end() error {
	switch w := r.m.wire; {
	case r.woken != nil:
		return r.woken
	case w.reset:
		return syscall.ECONNRESET
	case w.peerFin:
		return io.EOF
	}
	return nil
}

// Resource returns the half's place in the tree.
func (w *modelWrite) Resource() *lifetime.Node { return &w.Node }

// Drop drops the half: our end follows what was written.
func (w *modelWrite) Drop(ctx context.Context) error { _, err := w.Node.Drop(ctx); return err }

// Abort drops the half, and resets.
func (w *modelWrite) Abort() {
	if w.Enter() != nil {
		return
	}
	w.cut.Store(true)
	w.m.wire.set(&w.m.wire.reset)
	w.Ended(lifetime.Failed, syscall.ECONNABORTED)
	w.m.Ended(lifetime.Failed, syscall.ECONNABORTED)
	w.BeginDrop()
	w.Leave()
}

func (w *modelWrite) interrupt(cause error) { w.m.wire.wake(&w.woken, cause) }

// release ends the direction: with an end, or with a reset when the stream lacks
// its tail or was closed over its writer's head.
func (w *modelWrite) release() {
	w.releases.Add(1)
	if w.State() != lifetime.Draining || w.cut.Load() {
		w.m.wire.set(&w.m.wire.reset)
		return
	}
	w.m.wire.finish()
}

// Write writes as a socket's half does.
func (w *modelWrite) Write(p []byte) (int, error) {
	if err := w.Enter(); err != nil {
		return 0, err
	}
	defer w.Leave()
	n, err := w.m.wire.put(&w.m.wire.down, p, w.end)
	switch {
	case isClosed(err):
		w.cut.Store(true)
	case err != nil:
		w.Ended(lifetime.Failed, err)
		w.m.Ended(lifetime.Failed, err)
	}
	return n, err
}

func (w *modelWrite) end() error {
	switch {
	case w.woken != nil:
		return w.woken
	case w.m.wire.reset:
		return syscall.ECONNRESET
	}
	return nil
}
