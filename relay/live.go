package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"relayd/socket"
	"relayd/transform"
)

// The chains of a conn can change while it lives. A direction changes where its
// bytes are at rest: a plain one between two moves, with what it has under way
// carried over; one with stages after its chain was told that the source has
// ended, has written its tail, and was closed. Then the new chain begins, and the
// conn goes to goroutines for its first stage, or back to an event loop after its
// last.

// What EditConn returns, beside ErrNoConn and what its Edit does.
var (
	// ErrBlocked is that a conn has not let go in time: a peer does not take
	// what is on its way, or a stage holds it.
	ErrBlocked = errors.New("blocked: the change has been noted, and waits until what is on its way has gone: a peer does not take it, or a stage holds it")
	// ErrCodec is that a stage encodes or decodes: the far end could not
	// follow a change in the middle of a stream.
	ErrCodec = errors.New("its stream cannot be changed in the middle, the far end would not understand it")
	// ErrEnded is that a direction that was to change has ended.
	ErrEnded = errors.New("the direction has ended")
	// ErrOpening is that a conn has no stages yet, because its preface is still
	// read and its route not chosen.
	ErrOpening = errors.New("the conn's preface is still read, and its route not chosen")
)

// The chains that a conn has for itself. c.mu guards them.
type chains struct {
	of [2]own // up, down
	// changed is closed when one of them has begun to run, or has ended.
	changed chan struct{}
}

// An own is the chain that one direction of one conn has for itself.
type own struct {
	chain transform.Chain
	asked int // how often it was changed
	runs  int // which of these changes the pump runs with
	// skew is how many more bytes went in than came out of the chains that are
	// gone.
	skew atomic.Int64
}

// pumps returns both.
func (c *conn) pumps() [2]*pump { return [...]*pump{&c.up, &c.down} }

// chainOf returns the stages in p's way. c.mu is held.
func (c *conn) chainOf(p *pump) transform.Chain {
	switch {
	case c.rare != nil && c.rare.chains != nil:
		return c.rare.chains.of[p.index(c)].chain
	case p == &c.up:
		return c.path.Load().up
	}
	return c.path.Load().down
}

// plain reports whether no stage is in the way, in either direction.
func (c *conn) plain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stageless()
}

// stageless is plain for who holds c.mu.
func (c *conn) stageless() bool { return len(c.chainOf(&c.up))+len(c.chainOf(&c.down)) == 0 }

// next returns the chain that p is to move bytes through now, here on a
// goroutine, or false if the conn goes to a loop: p has then stopped. That is
// decided for both directions at once, as a socket has one way of waiting: when
// one has stopped to go, the other must.
func (c *conn) next(p *pump) (chain transform.Chain, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare != nil && c.rare.to != nil || p.reverse(c).marked(c, pumpYielded) {
		p.mark(c, pumpStopped|pumpYielded)
		return nil, false
	}
	// What it would let go for is known here.
	p.src(c).Unyield()
	if x := c.ownChains(); x != nil && p.marked(c, pumpStaged) {
		x.of[p.index(c)].skew.Store(p.moved.In.Load() - p.moved.Out.Load())
	}
	chain = c.chainOf(p)
	if p.staged(c) && c.stageless() && !p.reverse(c).staged(c) {
		// The last stage is out: plain bytes let go at once, whoever waits for
		// them.
		if c.rare.to = c.home(); c.rare.to != nil {
			p.mark(c, pumpStopped|pumpYielded)
			p.reverse(c).yield(c)
			return nil, false
		}
	}
	c.runs(p, len(chain) > 0)
	return chain, true
}

// staged reports whether p moves bytes through stages.
func (p *pump) staged(c *conn) bool { return p.marked(c, pumpStaged) && !p.marked(c, pumpStopped) }

// runsPlain notes that p runs on a loop.
func (c *conn) runsPlain(p *pump) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.marked(c, pumpStaged) {
		c.ownChains().of[p.index(c)].skew.Store(p.moved.In.Load() - p.moved.Out.Load())
	}
	c.runs(p, false)
}

// runs notes that p runs with the chain that it is to have. c.mu is held.
func (c *conn) runs(p *pump, staged bool) {
	if staged {
		p.mark(c, pumpStaged)
	} else {
		p.unmark(c, pumpStaged)
	}
	if x := c.ownChains(); x != nil {
		o := &x.of[p.index(c)]
		o.runs = o.asked
		x.tell()
	}
}

// ownChains returns the chains that the conn has for itself, or nil. c.mu is held.
func (c *conn) ownChains() *chains {
	if c.rare == nil {
		return nil
	}
	return c.rare.chains
}

// tell wakes who waits for a change. c.mu is held.
func (x *chains) tell() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// under returns how many bytes p has read and not written, if no stage is in its
// way.
func (p *pump) under(c *conn) int64 {
	return p.moved.In.Load() - p.moved.Out.Load() - p.skew(c)
}

// skew returns how many more bytes went in than came out of the chains of p that are
// gone.
func (p *pump) skew(c *conn) int64 {
	if c.bits.Load()&edited == 0 {
		return 0
	}
	return c.rare.chains.of[p.index(c)].skew.Load() // both stay once they are there
}

// EditConn gives one conn chains of its own, in place of the route's or of those
// that it was given before, and waits until they run. It returns them. A direction
// whose chain stays as it is is not disturbed. Of one that changes, the chain that
// it had first sees the end of its stream, and writes its tail; no byte is lost,
// doubled or passes another.
//
// Stages that have an inverse cannot come or go when the conn relays already: the
// error is [ErrCodec]. A direction that has ended cannot change: [ErrEnded]. When
// ctx ends first, the error is [ErrBlocked], and the change stands: it takes
// effect when the conn can move again, and until then nothing that it relays is
// at risk.
func (s *Server) EditConn(ctx context.Context, id string, edit Edit) (up, down transform.Chain, err error) {
	c := s.find(id)
	if c == nil {
		return nil, nil, ErrNoConn
	}
	want, asked, err := c.editChains(edit)
	if err != nil {
		return nil, nil, err
	}
	return want[0], want[1], c.awaitChains(ctx, asked)
}

// SetChains is EditConn with the chains that are to be.
func (s *Server) SetChains(ctx context.Context, id string, up, down transform.Chain) error {
	_, _, err := s.EditConn(ctx, id, func(_, _ transform.Chain) (transform.Chain, transform.Chain, error) {
		return up, down, nil
	})
	return err
}

// editChains makes a change known, and makes what runs let go. It returns what the
// chains are to be, and which change of each direction that is.
func (c *conn) editChains(edit Edit) (want [2]transform.Chain, asked [2]int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.path.Load().chosen() {
		return want, asked, ErrOpening
	}
	relays := c.bits.Load()&relaying != 0
	want[0], want[1], err = edit(c.chainOf(&c.up), c.chainOf(&c.down))
	if err == nil {
		err = CheckChains(want[:]...)
	}
	if err != nil {
		return want, asked, err
	}
	var changes [2]bool
	for i, p := range c.pumps() {
		old := c.chainOf(p)
		if changes[i] = !old.Same(want[i]); !changes[i] || !relays {
			continue
		}
		if err := p.mayChange(c, old, want[i]); err != nil {
			return want, asked, err
		}
	}
	wasPlain := c.stageless()
	x := c.makeOwn()
	for i := range want {
		if changes[i] {
			x.of[i].chain = want[i]
			x.of[i].asked++
		}
		asked[i] = x.of[i].asked
	}
	if !changes[0] && !changes[1] {
		return want, asked, nil // or it waits for a change that was asked for before
	}
	c.rare.to = nil
	if !relays {
		return want, [2]int{}, nil // it will begin with them
	}
	// A direction lets go of its stages when what they have given is written,
	// which may take the other direction: that one goes on until then. The last
	// of them takes both to a loop.
	if c.stageless() && !c.up.staged(c) && !c.down.staged(c) {
		c.rare.to = c.home()
	}
	// What is plain in both directions may be on a loop, or go to one, and a
	// loop is left and entered by both.
	for i, p := range c.pumps() {
		if changes[i] || wasPlain || c.rare.to != nil {
			p.yield(c)
		}
	}
	return want, asked, nil
}

// makeOwn is ownChains, which are the server's at first. c.mu is held.
func (c *conn) makeOwn() *chains {
	r, p := c.unusual(), c.path.Load()
	if r.chains == nil {
		x := &chains{changed: make(chan struct{})}
		x.of[0].chain, x.of[1].chain = p.up, p.down
		r.chains = x
		c.bits.Or(edited)
	}
	return r.chains
}

// mayChange says why p's chain cannot change while it runs.
func (p *pump) mayChange(c *conn, old, to transform.Chain) error {
	d := p.name(c)
	if p.over(c) {
		return fmt.Errorf("%s: %w", d, ErrEnded)
	}
	for _, chain := range []transform.Chain{old, to} {
		for _, stage := range chain {
			if _, err := stage.Inverse(); err == nil {
				return fmt.Errorf("%s has the stage %s: %w", d, stage, ErrCodec)
			}
		}
	}
	return nil
}

// name is that of p's direction.
func (p *pump) name(c *conn) string {
	if p == &c.up {
		return "up"
	}
	return "down"
}

// home returns a loop that the conn can be on, or nil.
func (c *conn) home() *socket.Loop {
	ls := c.server().loops
	if ls == nil {
		return nil
	}
	if l := ls.Least(); c.fits(l) {
		return l
	}
	return nil
}

// awaitChains waits until both directions run with what was asked for, or have
// ended.
func (c *conn) awaitChains(ctx context.Context, asked [2]int) error {
	for {
		c.mu.Lock()
		x := c.ownChains()
		if x == nil {
			c.mu.Unlock()
			return nil
		}
		late := ""
		for i, p := range c.pumps() {
			if x.of[i].runs < asked[i] && !p.over(c) {
				late = p.name(c)
			}
		}
		changed := x.changed
		c.mu.Unlock()
		if late == "" {
			return nil
		}
		select {
		case <-changed:
		case <-c.node.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", late, ErrBlocked)
		}
	}
}
