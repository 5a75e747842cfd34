package upstream

import (
	"maps"
	"time"
)

// inherit takes over what another pool knows of members that p has too. Targets
// are the same by their names and addresses; members of a name need no answer
// then, and conns find them at once. Both locks are held, that of p all the while.
func (p *Pool) inherit(old *Pool, now time.Time) {
	old.mu.Lock()
	defer old.mu.Unlock()
	p.counts, old.heir = old.counts, p
	for _, t := range p.targets {
		for _, o := range old.targets {
			if t.same(o) {
				p.inheritTarget(t, o, old, now)
			}
		}
	}
	p.collect()
}

// same reports whether two pools mean the same by their targets.
func (t *target) same(o *target) bool {
	return o.Name == t.Name && o.Address == t.Address && o.Records == t.Records
}

func (p *Pool) inheritTarget(t, old *target, before *Pool, now time.Time) {
	t.hand = old.hand
	if t.named() {
		t.asked, t.answered, t.addresses, t.err, t.known = old.asked, old.answered, old.addresses, old.err, maps.Clone(old.known)
		t.gone = old.gone
		for _, o := range old.members {
			if m, err := p.newMember(t, o.name, o.address, now); err == nil {
				m.share, m.priority = o.share, o.priority
				t.members = append(t.members, m)
			} else {
				t.gone = t.gone.Plus(o.counted())
			}
		}
		for _, o := range before.gone { // its conns are no conns of p
			if o.target == old {
				t.gone = t.gone.Plus(o.counted())
			}
		}
	}
	for _, m := range t.members {
		for _, o := range old.members {
			if m.address == o.address {
				m.inherit(o)
			}
		}
	}
}

// inherit takes over what was known of the same address. What checks said counts
// if they would be the same ones.
func (m *Member) inherit(o *Member) {
	c, before := &m.p.c, &o.p.c
	m.total, m.failures, m.resetCount = o.total, o.failures, o.resetCount
	m.dialTook, m.dialErr = o.dialTook, o.dialErr
	if c.SlowStart > 0 {
		m.ramp = o.ramp
	}
	if c.Check == before.Check && c.Check.On {
		m.unchecked, m.sick, m.good, m.bad = o.unchecked, o.sick, o.good, o.bad
		m.checked, m.checkTook, m.checkErr = o.checked, o.checkTook, o.checkErr
	}
	if c.Eject.Fails > 0 {
		m.until, m.blame, m.trial = o.until, o.blame, o.trial
		m.fails, m.ejections, m.readmitted = o.fails, o.ejections, o.readmitted
	}
	m.state, m.why = m.judge()
	if m.state == o.state {
		m.since, m.why = o.since, o.why
	}
}
