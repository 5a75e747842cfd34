package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"relayd/lifetime"
	"relayd/socket"
)

// forceScripts is the shutdown column of a script: under every policy, after
// every step and after the last, a shutdown of P ends everything, proves it, and
// is told to everybody whom nothing else was told.
func (c *cell) forceScripts() error {
	for _, sc := range c.row.scripts {
		for _, p := range policies {
			if !sc.has(p) {
				continue
			}
			for n := range len(sc) + 2 {
				if err := c.forceAfter(sc, p, n); err != nil {
					return fmt.Errorf("under %v, after step %d of %s: %w", p, n, sc, err)
				}
			}
		}
	}
	return nil
}

// forceAfter plays the first n steps of a script, all and the peer's end for one
// more, and shuts P down.
func (c *cell) forceAfter(sc script, p column, n int) error {
	s, err := c.accepted(p)
	if err != nil {
		return err
	}
	defer s.abandon()
	if err := s.steps(sc[:min(n, len(sc))]); err != nil {
		return err
	}
	if n > len(sc) {
		if err := s.finale(); err != nil {
			return err
		}
	}
	return s.force()
}

// accepted is a scene whose socket came the way that the relay's do: from a
// listener of ours.
func (c *cell) accepted(p column) (*scene, error) {
	if c.kind == library {
		return c.scene(p)
	}
	l, err := c.acceptOne(p)
	if err != nil {
		return nil, err
	}
	return &scene{c: c, policy: p, l: l, done: make(map[string]bool)}, nil
}

// A handle is what a part's owner knew before a shutdown.
type handle struct {
	letter byte
	n      *lifetime.Node
	owned  bool
	end    lifetime.End
}

func (s *scene) handles() []handle {
	owned := make(map[uint64]bool)
	for _, i := range lifetime.Snapshot(s.l.p) {
		owned[i.ID] = i.Owned
	}
	var list []handle
	for i := range parts {
		if n := s.node(parts[i]); n != nil {
			list = append(list, handle{parts[i], n, owned[n.ID()], n.End()})
		}
	}
	return list
}

// force shuts P down and looks at what everybody is told.
func (s *scene) force() error {
	before := s.handles()
	state := s.l.p.State()
	pending := append([]*call(nil), s.pending...)
	want := s.proofWanted()
	end := s.l.p.End()
	s.fin = s.fin || s.finished()

	r, err := s.l.shutdown(s.c.ctx, errCell)
	if err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	if state == lifetime.Released || r.Cause == nil && s.endsItself(state) {
		shut := end == lifetime.ShutDown || end == lifetime.Finished
		if r.State != lifetime.Released || r.Cause != nil && !shut {
			return fmt.Errorf("the report on what was released before: %v, cause %v", r.State, r.Cause)
		}
		state = lifetime.Released
	} else if why := s.c.proof(r, want...); why != "" {
		return errors.New(why)
	}
	if err := s.l.released(); err != nil {
		return err
	}
	again, err := s.l.shutdown(s.c.ctx, nil)
	if err != nil || !sameReport(r, again) {
		return fmt.Errorf("a second report differs: %+v, %v; the first: %+v", again.Report, err, r.Report)
	}
	if err := s.told(before, pending); err != nil {
		return err
	}
	if state == lifetime.Released {
		return nil
	}
	return s.peerTold()
}

func sameReport(a, b socket.Report) bool {
	return a.ID == b.ID && a.State == b.State && a.End == b.End && a.Cause == b.Cause && a.Took == b.Took && a.Kernel == b.Kernel && len(a.Holders) == len(b.Holders)
}

// finished reports whether our end was on the wire before.
func (s *scene) finished() bool {
	if s.l.p.State() == lifetime.Draining {
		return true
	}
	if s.w == nil || holds(s.w.Resource()) {
		return false
	}
	e := s.w.Resource().End()
	return e == lifetime.Dropped || e == lifetime.Finished
}

// endsItself reports whether a resource in this state may be released before
// anybody can shut it down.
func (s *scene) endsItself(state lifetime.State) bool {
	switch state {
	case lifetime.Live, lifetime.Dropping:
		return false
	}
	return true
}

// told checks what the handles and the pending events are told.
func (s *scene) told(before []handle, pending []*call) error {
	for _, k := range pending {
		select {
		case <-k.over:
		case <-s.c.ctx.Done():
			return fmt.Errorf("%s is still pending after the shutdown", k.event.text)
		}
		if !slices.Contains([]string{"shutdown", "ok", "dropped", "report", "data", "cut"}, k.result) {
			return fmt.Errorf("%s was told %s by the shutdown", k.event.text, k.result)
		}
	}
	s.pending = nil
	for _, h := range before {
		if n := h.n; n.State() != lifetime.Released {
			return fmt.Errorf("%c is %v after the shutdown", h.letter, n.State())
		}
		if !h.owned {
			continue
		}
		if got := s.c.word(h.n.Enter()); got != "shutdown" {
			return fmt.Errorf("use of %c after the shutdown: %s; want shutdown", h.letter, got)
		}
		if h.letter == 'P' {
			if _, err := s.l.receive(); s.c.word(err) != "shutdown" {
				return fmt.Errorf("take R after the shutdown: %s; want shutdown", s.c.word(err))
			}
		}
		if h.end == lifetime.Open && h.n.End() != lifetime.ShutDown {
			return fmt.Errorf("%c ended as %v; want shutdown", h.letter, h.n.End())
		}
		if _, err := h.n.Drop(s.c.ctx); err != nil {
			return fmt.Errorf("drop %c after the shutdown: %v; want nil", h.letter, err)
		}
	}
	return nil
}

// peerTold checks that the peer was reset, unless our end was sent before, or
// the peer broke it off.
func (s *scene) peerTold() error {
	if s.fin {
		return nil
	}
	n, err := readAll(s.l.peer, make([]byte, 64<<10))
	s.got += n
	switch {
	case err == nil && s.c.kind == unix:
		return nil
	case err == nil:
		return fmt.Errorf("the peer saw FIN after %d bytes; want a reset", s.got)
	case socket.IsReset(err) || isClosed(err):
		return nil
	}
	return fmt.Errorf("the peer saw %v; want a reset", err)
}

// proven is what the kernel is to show after a shutdown of a live connection.
func (c *cell) proven() socket.KernelState {
	switch {
	case c.kind == library:
		return socket.NoKernel
	case runtime.GOOS == "linux":
		return socket.Gone
	}
	return socket.Unverified
}

// proofWanted is what a shutdown's report may say of the kernel now. A
// connection that is ending by itself may be gone before anybody looks.
func (s *scene) proofWanted() []socket.KernelState {
	want := []socket.KernelState{s.c.proven()}
	if s.endsItself(s.l.p.State()) || s.l.p.End() == lifetime.Failed || s.peerGone {
		want = append(want, socket.Unverified)
	}
	return want
}

// proof says what is wrong with a report, or returns "".
func (c *cell) proof(r socket.Report, want ...socket.KernelState) string {
	if r.State != lifetime.Released {
		return fmt.Sprintf("the report says %v", r.State)
	}
	if r.Cause != errCell {
		return fmt.Sprintf("the report's cause is %v", r.Cause)
	}
	for _, w := range want {
		if r.Kernel == w {
			return ""
		}
	}
	return fmt.Sprintf("the kernel's state is %s (%s); want %v", r.Kernel, r.Why, want[0])
}

// acceptOne connects to a listener of package socket.
func (c *cell) acceptOne(p column) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == nil {
		a, err := c.address()
		if err != nil {
			return nil, err
		}
		if c.source, err = socket.Listen(c.ctx, a, nil); err != nil {
			return nil, err
		}
	}
	theirs, err := c.dial(c.source.Addr())
	if err != nil {
		return nil, err
	}
	in, err := c.source.Accept()
	if err != nil {
		theirs.Close()
		return nil, err
	}
	sock, err := in.Open(socket.At{Parent: &c.root.Node, Policy: p.policy()})
	if err != nil {
		theirs.Close()
		return nil, err
	}
	if c.kind == tlsKind {
		if theirs, err = c.secure(sock, theirs); err != nil {
			return nil, err
		}
	}
	return linkOf(sock, nil, theirs), nil
}

// dropSource closes the listener of acceptOne.
func (c *cell) dropSource() {
	if c.source != nil {
		if err := c.source.Drop(context.Background()); err != nil {
			c.differ("the listener's drop: %v", err)
		}
	}
}
