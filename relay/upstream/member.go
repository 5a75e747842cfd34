package upstream

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"relayd/socket"
)

// A Member is one address of a target. For each conn that it is taken for, it is
// told once how the dial ended, by Dialled or by [Pool.Dial], and then once that
// the conn has ended, by Done: also when the dial failed.
type Member struct {
	p       *Pool
	target  *target
	name    string
	address socket.Address
	at      string // in words
	dialer  *socket.Dialer
	key     uint64      // of Hash
	race    atomic.Bool // its target has addresses of both families

	// The rest is the pool's lock's.
	facts
	state   State
	why     string
	since   time.Time
	told    State // what the teller has told
	standby bool  // members of a better priority are up
	ramp    time.Time

	share    int    // of a SRV record: its weight, or 1
	priority uint16 // of a SRV record
	current  float64

	conns, dialing  int
	total, failures uint64
	fails           int // failed dials in a row
	resets, skip    int // conns in a row that were reset; how many Dones say nothing
	resetCount      uint64
	dialTook        time.Duration
	dialErr         error
	ejections       int // without a good time between them
	readmitted      time.Time
	checking        bool
	checkAt         time.Time
	good, bad       int // checks in a row
	checked         time.Time
	checkTook       time.Duration
	checkErr        error
}

// newMember makes one.
func (p *Pool) newMember(t *target, name string, a socket.Address, now time.Time) (*Member, error) {
	d, err := socket.NewDialer(a, p.c.sourcesFor(a)...)
	if err != nil {
		return nil, err
	}
	m := &Member{p: p, target: t, name: name, address: a, at: a.String(), dialer: d, key: hashName(name), share: 1, since: now}
	m.unchecked = p.c.Check.On
	m.checkAt = now
	if p.c.SlowStart > 0 {
		m.ramp = now
	}
	m.state, m.why = m.judge()
	return m, nil
}

// Name returns the target's name, and for one of several addresses of a name
// that as well: NAME@ADDRESS.
func (m *Member) Name() string { return m.name }

// Target returns the name of its target.
func (m *Member) Target() string { return m.target.Name }

// Address returns what is dialled.
func (m *Member) Address() socket.Address { return m.address }

// Dialer returns what dials it, for use with [socket.Loop.Dial].
func (m *Member) Dialer() *socket.Dialer { return m.dialer }

// OnLoop reports whether a loop can dial it. It cannot while its target has
// addresses of both families, of which [Pool.Dial] tries two.
func (m *Member) OnLoop() bool { return m.dialer.OnLoop() && !m.race.Load() }

// Dialled says how a dial has ended, and how long that took.
func (m *Member) Dialled(err error, took time.Duration) {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	m.dialing = max(m.dialing-1, 0)
	switch {
	case err == nil:
		if m.trial {
			m.trial = false
			if m.state == Up { // and not taken down meanwhile
				m.why = "its trial went well"
			}
		}
		m.fails = 0
		m.dialTook, m.dialErr = took, nil
	case blames(err):
		m.fails++
		m.failures++
		m.skip++
		m.dialErr = err
		p.ask(m.target)
		if m.trial || m.fails >= p.c.Eject.Fails {
			p.eject(m, "dial failed: "+err.Error())
		}
	default:
		m.skip++
	}
	if p.queue.Len() > 0 {
		p.serve(time.Now())
	}
}

// blames reports whether a failed dial is to be held against its member, and not
// against us: a dial that was given up, or for which we had no port, descriptor
// or memory.
func blames(err error) bool {
	return !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, socket.ErrPeerGone) &&
		!socket.IsNoPorts(err) && !socket.IsExhausted(err)
}

// Reset says, before Done, that the member has reset the conn before it sent a
// byte. With [Eject].Resets, as many in a row as Fails eject it; without, they
// are only counted.
func (m *Member) Reset() {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	m.resetCount++
	m.resets++
	m.skip++
	if e := &p.c.Eject; e.Resets && m.resets >= e.Fails && p.eject(m, "it resets connections before it answers") {
		m.resets = 0
	}
}

// Done says that the conn has ended.
func (m *Member) Done() {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	m.release()
	if p.queue.Len() > 0 {
		p.serve(time.Now())
	}
}

// release is Done for the member alone.
func (m *Member) release() {
	m.conns--
	if m.conns < 0 {
		panic("upstream: more calls of Done than conns of " + m.name)
	}
	m.dialing = min(m.dialing, m.conns) // also of a conn that was never dialled
	if m.skip > 0 {
		m.skip--
	} else {
		m.resets = 0
	}
	if m.out && m.conns == 0 {
		m.p.gone = slices.DeleteFunc(m.p.gone, func(g *Member) bool { return g == m })
		m.target.gone = m.target.gone.Plus(m.counted())
	}
}

// take gives the member to a conn.
func (m *Member) take() *Member {
	m.conns++
	m.dialing++
	m.total++
	m.p.counts.Taken++
	return m
}

// takeAfter is take for a conn that has tried others in vain, if any.
func (m *Member) takeAfter(tried []*Member) *Member {
	if len(tried) > 0 {
		m.p.counts.Retries++
	}
	return m.take()
}

// usable reports whether the member can get conns, now or when others end.
func (m *Member) usable() bool { return m.alive() && !m.standby }

// alive is usable but for others that go before it.
func (m *Member) alive() bool { return m.state <= Starting && m.target.Weight > 0 }

// free reports whether the member can get a conn now. On trial it gets one at a
// time, until a dial is good.
func (m *Member) free() bool {
	return m.usable() && (m.target.MaxConns == 0 || m.conns < m.target.MaxConns) && (!m.trial || m.dialing == 0)
}

// leastRamp is what a slow start begins with.
const leastRamp = 0.01

// weightAt returns the member's weight, which a slow start lessens.
func (m *Member) weightAt(now time.Time) float64 {
	w := float64(max(m.target.Weight, 0) * m.share)
	if m.ramp.IsZero() {
		return w
	}
	up := float64(now.Sub(m.ramp)) / float64(m.p.c.SlowStart)
	if up >= 1 {
		m.ramp = time.Time{}
		return w
	}
	return w * max(up, leastRamp)
}
