package upstream

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// The facts are what a member's state follows from.
type facts struct {
	out       bool   // no longer an address of its name
	unchecked bool   // is to be checked, and was not
	sick      string // why checks say that it is down; "" if they do not
	until     time.Time
	blame     string // why it is ejected until then
	trial     bool   // was ejected, and is on trial
}

// judge returns the state that follows from the facts, and why.
func (m *Member) judge() (State, string) {
	switch {
	case m.out:
		return Draining, "it is no longer an address of " + m.target.Address.Host
	case m.target.hand == Down, m.target.hand == Draining:
		return m.target.hand, "by hand"
	case m.sick != "":
		return Down, m.sick
	case !m.until.IsZero():
		return Ejected, m.blame
	case m.unchecked:
		return Starting, "not checked yet"
	case m.trial:
		return Up, "on trial after an ejection"
	}
	return Up, ""
}

// update makes a member's state follow from its facts, and all that follows from
// its state.
func (p *Pool) update(m *Member, now time.Time) {
	was := m.state
	state, why := m.judge()
	if state == was {
		if state != Up {
			m.why = why
		}
		return
	}
	m.state, m.why, m.since = state, why, now
	if state == Up && why == "" {
		m.why = "no longer " + was.String()
	}
	if state <= Starting && was > Starting {
		m.current = 0
		if p.c.SlowStart > 0 {
			m.ramp = now
		}
	}
	m.target.rank()
	p.serve(now)
	poke(p.news)
}

// forgive forgets what dials have said about a member.
func (m *Member) forgive() {
	if m.trial {
		m.why = ""
	}
	m.until, m.trial = time.Time{}, false
	m.fails, m.resets, m.ejections = 0, 0, 0
}

// rank finds the members of a target that stand by: those for which there is one
// of a better priority that is up.
func (t *target) rank() {
	best := -1
	for _, m := range t.members {
		if p := int(m.priority); m.alive() && (best < 0 || p < best) {
			best = p
		}
	}
	var v4, v6 bool
	for _, m := range t.members {
		m.standby = best >= 0 && int(m.priority) > best
		if m.alive() {
			is4 := m.is4()
			v4, v6 = v4 || is4, v6 || !is4
		}
	}
	for _, m := range t.members {
		m.race.Store(t.named() && v4 && v6)
	}
}

// A change is one of a member's state.
type change struct {
	m        *Member
	from, to State
	why      string
}

// tell logs what becomes of members, and calls OnDown. It is the pool's second
// goroutine: neither may keep checks waiting, or those who dial.
func (p *Pool) tell() {
	defer p.running.Done()
	for {
		select {
		case <-p.news:
		case <-p.ctx.Done():
			return
		}
		for _, c := range p.changes() {
			level := slog.LevelInfo
			switch {
			case c.to == Down || c.to == Ejected:
				level = slog.LevelWarn
			case c.from == Starting && c.to == Up: // as it should be
				level = slog.LevelDebug
			}
			p.o.Log.Log(context.Background(), level, "target is "+c.to.String(), "upstream", p.c.Name,
				"target", c.m.Name(), "address", c.m.address, "was", c.from, "why", c.why)
			if p.o.OnDown != nil && (c.to == Down || c.to == Ejected) {
				p.o.OnDown(c.m, c.to, c.why)
			}
		}
	}
}

// changes returns what was not told yet. Of several changes of one member it is
// the last.
func (p *Pool) changes() (list []change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range slices.Concat(p.members, p.gone) {
		if m.told != m.state {
			list = append(list, change{m, m.told, m.state, m.why})
			m.told = m.state
		}
	}
	return list
}
