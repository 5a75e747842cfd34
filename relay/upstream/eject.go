package upstream

import "time"

// eject leaves a member alone for a time, if there remain enough others. It
// reports whether it did.
func (p *Pool) eject(m *Member, why string) bool {
	e := &p.c.Eject
	if e.Fails < 0 || !m.alive() {
		return false
	}
	if !p.mayEject(m) {
		p.counts.Spared++
		return false
	}
	now := time.Now()
	if now.Sub(m.readmitted) > e.Max {
		m.ejections = 0
	}
	d := e.Time
	for range m.ejections {
		if d *= 2; d >= e.Max {
			d = e.Max
			break
		}
	}
	m.ejections++
	m.fails = 0
	m.until, m.blame, m.trial = now.Add(d), why, false
	p.counts.Ejections++
	p.update(m, now)
	poke(p.wake)
	return true
}

// mayEject reports whether the pool can do without a member.
func (p *Pool) mayEject(m *Member) bool {
	all, ejected, others := 0, 0, 0
	for _, o := range p.members {
		if o.target.hand != Up || o.target.Weight < 0 {
			continue
		}
		all++
		switch {
		case o.state == Ejected:
			ejected++
		case o != m && o.alive():
			others++
		}
	}
	percent := p.c.Eject.MaxPercent
	return (ejected+1)*100 <= percent*all && (others > 0 || percent == 100)
}

// readmit ends a member's ejection: it comes back on trial.
func (p *Pool) readmit(m *Member, now time.Time) {
	m.until, m.trial = time.Time{}, true
	m.readmitted = now
	p.update(m, now)
}
