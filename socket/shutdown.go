package socket

import (
	"context"
	"sync"
	"time"

	"relayd/lifetime"
)

// A KernelState is what a shutdown found out about the system's side of a
// connection, after it had closed ours.
type KernelState string

// The kernel states of a [Report].
const (
	Gone       KernelState = "gone"       // found before, not found after: proven
	TimeWait   KernelState = "time-wait"  // the system keeps the ports for late packets
	FinWait2   KernelState = "fin-wait-2" // our FIN is acknowledged, the peer's has not come
	Orphan     KernelState = "orphan"     // bytes are still being sent
	Shared     KernelState = "shared"     // a copy of the descriptor lives elsewhere
	Unverified KernelState = "unverified" // nobody could tell: see Why
	NoKernel   KernelState = "none"       // the socket is made of memory
)

// A Report is the proof of a shutdown.
type Report struct {
	lifetime.Report
	Kernel KernelState
	Why    string // why the kernel state is unverified
	Unread int    // bytes that had arrived and were not read; of TLS, most of them encrypted
	// Unsent is how many bytes were written and not acknowledged. They are lost,
	// unless only the acknowledgement was under way.
	Unsent int
}

// Shutdown ends the socket and its halves at once, under every policy and in
// every state, the drain included: operations are woken with
// [lifetime.ErrShutdown] and the cause, the connection is reset through every
// copy of its descriptor, and the descriptor is closed. Then the system is asked
// whether the connection is gone. Any number of callers, at any time, get the
// same lifetime.Report; see [lifetime.Node.Shutdown] for a ctx that ends first.
//
// The proof is "found, then not found": a connection that the system could not
// show before cannot be proven gone after. On Linux it is asked by sock_diag(7),
// with the socket's cookie, so that a successor at the same addresses is never
// mistaken for it. Unix sockets have no reset: the peer sees an end.
func (s *Socket) Shutdown(ctx context.Context, cause error) (Report, error) {
	before := s.identified()
	s.node.BeginShutdown(cause)
	// A holder that sits inside an operation keeps the descriptor; the
	// connection ends all the same.
	s.t.disconnect()
	r, err := s.node.Shutdown(ctx, cause)
	p := &s.unusual().proof
	if after, final := p.report(r); final {
		return after, err
	}
	// Without the lock: who comes beside us has a ctx of its own.
	after := Report{Report: r, Unread: before.unread, Unsent: before.unsent}
	if e, ok := s.t.(*execTransport); ok {
		after.Kernel, after.Why = e.await(ctx)
	} else {
		after.Kernel, after.Why = before.after()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.final() || after.State == lifetime.Released && after.Kernel != Unverified {
		p.after = after
	}
	after = p.after
	after.Report = r
	return after, err
}

// A proof is a Report in the making.
type proof struct {
	mu     sync.Mutex
	before *identity // what a shutdown found at first
	after  Report    // and at last
}

// final reports whether the report was made after the release. p.mu is held.
func (p *proof) final() bool { return p.after.Kernel != "" && p.after.State == lifetime.Released }

// report returns what is known, of a shutdown that came to r, and whether that is
// all.
func (p *proof) report(r lifetime.Report) (after Report, final bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	after, final = p.after, p.final()
	after.Report = r
	return after, final
}

// An identity is what the kernel can be asked for a connection by, taken while
// the descriptor is still open.
type identity struct {
	key            kernelKey
	found          bool
	why            string // why not
	kernel         bool
	unread, unsent int
}

// Identify looks the connection up in the system, for the proof of a Shutdown
// that follows. Shutdown does so itself; who shuts several sockets down that end
// each other identifies them all before.
func (s *Socket) Identify() { s.identified() }

// identified returns what the first caller of Shutdown has found: for a later
// one the descriptor may be closed already.
func (s *Socket) identified() *identity {
	p := &s.unusual().proof
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before == nil {
		id := s.identify()
		p.before = &id
	}
	return p.before
}

// identify looks the connection up before it is closed.
func (s *Socket) identify() (id identity) {
	if u := s.given(); u != nil {
		id.unread = u.len()
	}
	t := kernelOf(s.t)
	if t == nil {
		return id
	}
	id.kernel, id.why = true, "the descriptor was closed before"
	t.control(id.take)
	if t, ok := s.t.(*tlsTransport); ok { // what the system has is encrypted
		id.unread += int(t.aside.Load())
		id.unsent += int(t.held.Load())
	}
	if id.why == "" {
		id.found, id.why = id.key.lookup()
	}
	return id
}

// take is called with the descriptor open.
func (id *identity) take(fd int) {
	id.unread += unreadOf(fd)
	id.unsent = unsentOf(fd)
	id.key, id.why = keyOf(fd)
}

// A copy of a descriptor may take a moment to be reaped, and so may a
// connection that a release on another processor is just taking down.
const (
	goneTries = 20
	gonePause = 5 * time.Millisecond
)

// after looks the connection up again.
func (id *identity) after() (KernelState, string) {
	switch {
	case !id.kernel:
		return NoKernel, ""
	case !id.found:
		return Unverified, id.why
	}
	state, why := Unverified, ""
	for try := 0; ; try++ {
		if state, why = id.key.state(); state == Gone || state == Unverified || try == goneTries {
			return state, why
		}
		time.Sleep(gonePause)
	}
}
