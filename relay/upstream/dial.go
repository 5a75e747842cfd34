package upstream

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"relayd/socket"
)

// headStart is how long the first of two addresses is alone, as RFC 8305 wants.
const headStart = 250 * time.Millisecond

// Retry says whether a conn that was dialled so many times, each time in vain,
// is to be dialled again, and after how long: to a member from TryTake or Take,
// which are to be told whom it has tried.
func (p *Pool) Retry(attempts int) (wait time.Duration, ok bool) {
	r := &p.c.Retry
	if attempts >= r.Attempts {
		return 0, false
	}
	d := r.Min
	for i := 1; i < attempts && d < r.Max; i++ {
		d *= 2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Half of it is random, so that who failed together does not come back
	// together.
	return min(d, r.Max)/2 + time.Duration(p.rand.Int64N(int64(min(d, r.Max)/2)+1)), true
}

// DialTimeout returns how long one dial may take of the time that is left for
// all; negative is for ever.
func (p *Pool) DialTimeout(left time.Duration) time.Duration {
	r := &p.c.Retry
	switch {
	case r.Attempts == 1 || r.Timeout < 0:
		return left
	case left < 0:
		return r.Timeout
	}
	return min(left, r.Timeout)
}

// Dial dials a member that was taken, and does what [Member.Dialled] does. If its
// target has addresses of both families, another member joins in after 250 ms,
// or when the first has failed: the one returned is the one that is connected,
// and is held from then on instead of m. When there is an error it is m, of which
// Done is still to be called.
func (p *Pool) Dial(ctx context.Context, m *Member, at socket.At) (*socket.Socket, *Member, error) {
	if t := p.DialTimeout(-1); t >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	if !m.race.Load() {
		began := time.Now()
		s, err := m.dialer.Dial(ctx, at)
		m.Dialled(err, time.Since(began))
		return s, m, err
	}
	var other *Member
	s, laps, err := socket.Race(ctx, at, m.dialer, headStart, func() *socket.Dialer {
		if other = p.partner(m); other == nil {
			return nil
		}
		return other.dialer
	})
	// The first had a head start: to be outrun all the same is its failure.
	m.Dialled(laps[0].Err, laps[0].Took)
	if other == nil {
		return s, m, err
	}
	lap := laps[1]
	if errors.Is(lap.Err, socket.ErrOutrun) {
		lap.Err = context.Canceled
	}
	other.Dialled(lap.Err, lap.Took)
	loser := other
	if err == nil && lap.Err == nil { // it may win, and have no place in the tree any more
		loser, m = m, other
	}
	loser.Done()
	return s, m, err
}

// partner takes a member of the same target in the other family, if one is free.
func (p *Pool) partner(m *Member) *Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	for _, o := range m.target.members {
		if o.is4() != m.is4() && o.free() {
			return o.take()
		}
	}
	return nil
}

// Connect is Take, Dial and Retry until a connection stands, all of it while ctx
// lasts. The member is held for it: Done is to be called when it has ended.
func (p *Pool) Connect(ctx context.Context, source netip.Addr, at socket.At) (*socket.Socket, *Member, error) {
	var tried []*Member
	var failed error
	for {
		m, err := p.Take(ctx, source, tried...)
		if err != nil {
			if failed != nil {
				err = failed
			}
			return nil, nil, err
		}
		tried = append(tried, m)
		s, m, err := p.Dial(ctx, m, at)
		if err == nil {
			return s, m, nil
		}
		m.Done()
		failed = err
		wait, ok := p.Retry(len(tried))
		if !ok || !pause(ctx, wait) {
			return nil, nil, failed
		}
	}
}

// pause waits, and reports whether ctx lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
