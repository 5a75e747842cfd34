package upstream

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// TryTake returns a member for a conn from source, or nil if none is free now,
// or others wait already. It does not wait: it is for event loops. Members that
// were tried come after all others; see [Member] for what a member is to be
// told.
func (p *Pool) TryTake(source netip.Addr, tried ...*Member) *Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.queue.Len() > 0 {
		return nil
	}
	m := p.pick(time.Now(), source, tried)
	if m == nil {
		return nil
	}
	return m.takeAfter(tried)
}

// pick chooses among the members that are free, those that were tried last.
func (p *Pool) pick(now time.Time, source netip.Addr, tried []*Member) *Member {
	if len(tried) > 0 {
		if m := p.choose(now, source, tried); m != nil {
			return m
		}
	}
	return p.choose(now, source, nil)
}

// choose chooses among the members that are free and not in except.
func (p *Pool) choose(now time.Time, source netip.Addr, except []*Member) *Member {
	if len(p.members) == 1 {
		if m := p.members[0]; m.fits(except) {
			return m
		}
		return nil
	}
	switch {
	case p.c.Balance == First:
		return p.first(except)
	case p.c.Balance == Hash && source.IsValid():
		return p.byHash(now, source, except)
	case p.c.Balance == LeastConns:
		return p.leastConns(now, except)
	case p.c.Balance == TwoChoices:
		return p.twoChoices(now, except)
	}
	return p.inTurn(now, except)
}

func (m *Member) fits(except []*Member) bool { return m.free() && !slices.Contains(except, m) }

func (p *Pool) first(except []*Member) *Member {
	for _, m := range p.members {
		if m.fits(except) {
			return m
		}
	}
	return nil
}

// inTurn is the smooth kind of weighted round-robin: each turn, everybody earns
// its weight, and who has the most goes, and pays what all have earned.
func (p *Pool) inTurn(now time.Time, except []*Member) (best *Member) {
	var all float64
	for _, m := range p.members {
		if !m.fits(except) {
			continue
		}
		w := m.weightAt(now)
		all += w
		m.current += w
		if best == nil || m.current > best.current {
			best = m
		}
	}
	if best != nil {
		best.current -= all
	}
	return best
}

// load is what LeastConns and TwoChoices compare: the conns that the member
// would have, for its weight.
func (m *Member) load(now time.Time) float64 { return float64(m.conns+1) / m.weightAt(now) }

// leastConns looks at all members, from another one on each time, so that equal
// ones take turns.
func (p *Pool) leastConns(now time.Time, except []*Member) (best *Member) {
	least := math.Inf(1)
	p.turn++
	for i := range p.members {
		m := p.members[(p.turn+i)%len(p.members)]
		if !m.fits(except) {
			continue
		}
		if l := m.load(now); l < least {
			best, least = m, l
		}
	}
	return best
}

// twoChoices draws two, by weight, and takes the one with less to do.
func (p *Pool) twoChoices(now time.Time, except []*Member) *Member {
	a := p.draw(now, except, nil)
	if a == nil {
		return nil
	}
	b := p.draw(now, except, a)
	if b == nil || a.load(now) <= b.load(now) {
		return a
	}
	return b
}

// draw draws a member by weight, other than one.
func (p *Pool) draw(now time.Time, except []*Member, other *Member) (m *Member) {
	var all float64
	for _, m := range p.members {
		if m != other && m.fits(except) {
			all += m.weightAt(now)
		}
	}
	at := p.rand.Float64() * all
	for _, o := range p.members {
		if o == other || !o.fits(except) {
			continue
		}
		m = o
		if at -= o.weightAt(now); at < 0 {
			break
		}
	}
	return m
}

// byHash is weighted rendezvous hashing: each member has a score for the source,
// and the best one has it. Another member takes from the others what it wins,
// and nothing else moves.
func (p *Pool) byHash(now time.Time, source netip.Addr, except []*Member) (best *Member) {
	var key [24]byte
	from := source.As16()
	copy(key[8:], from[:])
	most := math.Inf(-1)
	for _, m := range p.members {
		if !m.fits(except) {
			continue
		}
		binary.LittleEndian.PutUint64(key[:], m.key)
		// Evenly spread over the numbers between 0 and 1, without them.
		u := (float64(xxhash.Sum64(key[:])>>11) + 0.5) / (1 << 53)
		if score := m.weightAt(now) / -math.Log(u); score > most {
			best, most = m, score
		}
	}
	return best
}

func hashName(name string) uint64 { return xxhash.Sum64String(name) }
