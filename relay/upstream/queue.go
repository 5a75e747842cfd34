package upstream

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A waiter is a conn that waits for a member, in the order of the queue.
type waiter struct {
	source netip.Addr
	tried  []*Member
	m      *Member
	err    error
	done   chan struct{} // closed when there is m or err
}

// Take is TryTake that waits, when every member that is up has its most conns,
// behind those that wait already. Its errors are ErrDown when none is up or the
// last one goes down, ErrFull when too many wait, ErrQueueTimeout, ErrClosed,
// and the context's.
func (p *Pool) Take(ctx context.Context, source netip.Addr, tried ...*Member) (*Member, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.error(err, "")
	}
	p.mu.Lock()
	m, err := p.takeNow(source, tried)
	if m != nil || err != nil {
		p.mu.Unlock()
		return m, err
	}
	w := &waiter{source: source, tried: tried, done: make(chan struct{})}
	at := p.queue.PushBack(w)
	p.counts.Waited++
	p.mu.Unlock()

	var late <-chan time.Time
	if d := p.c.Queue.Timeout; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.done:
		return w.m, w.err
	case <-late:
		err = ErrQueueTimeout
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.done: // at this moment: what was given is not lost
		return w.m, w.err
	default:
	}
	p.queue.Remove(at)
	if errors.Is(err, ErrQueueTimeout) {
		p.counts.QueueTimeouts++
	}
	return nil, p.error(err, "")
}

// takeNow returns a member or an error, or neither if there is to be waited.
func (p *Pool) takeNow(source netip.Addr, tried []*Member) (*Member, error) {
	switch {
	case p.closed:
		return nil, p.error(ErrClosed, "")
	case p.queue.Len() == 0:
		if m := p.pick(time.Now(), source, tried); m != nil {
			return m.takeAfter(tried), nil
		}
		if !p.up() {
			p.counts.RefusedDown++
			return nil, p.error(ErrDown, p.whyDown())
		}
	}
	if p.queue.Len() >= max(p.c.Queue.Max, 0) {
		p.counts.RefusedFull++
		return nil, p.error(ErrFull, "")
	}
	return nil, nil
}

// serve gives members that are free to those who have waited longest, and an
// error to all of them when no member is up.
func (p *Pool) serve(now time.Time) {
	for p.queue.Len() > 0 {
		w := p.queue.Front().Value.(*waiter)
		m := p.pick(now, w.source, w.tried)
		if m == nil {
			if !p.up() {
				p.counts.RefusedDown += uint64(p.queue.Len())
				p.refuse(p.error(ErrDown, p.whyDown()))
			}
			return
		}
		p.queue.Remove(p.queue.Front())
		w.m = m.takeAfter(w.tried)
		close(w.done)
	}
}

// refuse ends all waiting with an error.
func (p *Pool) refuse(err error) {
	if errors.Is(err, ErrClosed) {
		err = p.error(ErrClosed, "")
	}
	for e := p.queue.Front(); e != nil; e = p.queue.Front() {
		w := p.queue.Remove(e).(*waiter)
		w.err = err
		close(w.done)
	}
}

// up reports whether any member can get conns, now or when others end.
func (p *Pool) up() bool {
	for _, m := range p.members {
		if m.usable() {
			return true
		}
	}
	return false
}

// whyDown says why no member is up.
func (p *Pool) whyDown() string {
	for _, t := range p.targets {
		switch {
		case t.named() && len(t.members) == 0 && t.err != nil:
			return t.Name + " has no address: " + t.err.Error()
		case t.named() && len(t.members) == 0:
			return t.Name + " has no address yet: its name is being looked up"
		}
		for _, m := range t.members {
			if m.target.Weight > 0 && m.why != "" {
				return m.name + " is " + m.state.String() + ": " + m.why
			}
		}
	}
	return "no target has a weight"
}
