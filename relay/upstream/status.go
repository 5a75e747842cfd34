package upstream

import (
	"time"
)

// A Status is what a pool is at a moment. Times that have no value are zero.
type Status struct {
	Name    string         `json:"name"`
	Balance Balance        `json:"balance"`
	OnDown  OnDown         `json:"on_down"`
	Members []MemberStatus `json:"members"`
	Names   []NameStatus   `json:"names,omitempty"` // of targets that are looked up
	Queued  int            `json:"queued"`          // conns that wait in the queue

	// What has happened since the pool was opened.
	Taken         uint64 `json:"taken"`          // members that conns got, retries and races included
	Retries       uint64 `json:"retries"`        // dials after one that failed
	Ejections     uint64 `json:"ejections"`      // members that were ejected
	Spared        uint64 `json:"spared"`         // and that were not, for Eject.MaxPercent
	Waited        uint64 `json:"waited"`         // conns that have been in the queue
	QueueTimeouts uint64 `json:"queue_timeouts"` // those that waited for nothing
	RefusedFull   uint64 `json:"refused_full"`   // conns that found the queue full
	RefusedDown   uint64 `json:"refused_down"`   // conns that found no member up
}

// A MemberStatus is what a member is at a moment.
type MemberStatus struct {
	Target   string    `json:"target"`
	Name     string    `json:"name"`
	Address  string    `json:"address"`
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"` // it is in that state
	Since    time.Time `json:"since"`         // when it came into it
	Until    time.Time `json:"until,omitzero"`
	Trial    bool      `json:"trial,omitempty"`   // up again after an ejection, and not dialled since
	Standby  bool      `json:"standby,omitempty"` // others of its target go before it
	Conns    int       `json:"conns"`
	MaxConns int       `json:"max_conns,omitempty"`
	Weight   float64   `json:"weight"`   // as it counts now: less in a slow start
	Total    uint64    `json:"total"`    // conns that it was given
	Failures uint64    `json:"failures"` // dials that failed
	Resets   uint64    `json:"resets"`   // see Member.Reset
	Dial     int64     `json:"dial_us"`  // how long the last good dial took, in microseconds
	DialErr  string    `json:"dial_err,omitempty"`
	Checked  time.Time `json:"checked,omitzero"` // when the last check ended
	Check    int64     `json:"check_us,omitempty"`
	CheckErr string    `json:"check_err,omitempty"` // "" if it was good
}

// A NameStatus is what is known of a target's name.
type NameStatus struct {
	Target    string    `json:"target"`
	Host      string    `json:"host"`
	Records   Records   `json:"records"`
	Addresses int       `json:"addresses"`
	Answered  time.Time `json:"answered,omitzero"` // the last answer; members are of that
	Asked     time.Time `json:"asked,omitzero"`
	Err       string    `json:"err,omitempty"` // of the last lookup
	Gone      Counts    `json:"gone,omitzero"` // of addresses that are no members any more
}

// Counts are what members have counted: see [MemberStatus].
type Counts struct {
	Total    uint64 `json:"total"`
	Failures uint64 `json:"failures"`
	Resets   uint64 `json:"resets"`
}

// Plus adds two.
func (c Counts) Plus(o Counts) Counts {
	return Counts{c.Total + o.Total, c.Failures + o.Failures, c.Resets + o.Resets}
}

// counted returns what m has counted. The pool's lock is held.
func (m *Member) counted() Counts { return Counts{m.total, m.failures, m.resetCount} }

// Status returns what the pool is now.
func (p *Pool) Status() Status {
	s, errs := p.copy()
	for i := range s.Members {
		s.Members[i].DialErr, s.Members[i].CheckErr = text(errs[i].dial), text(errs[i].check)
	}
	return s
}

// memberErrors are what is written down after the lock is let go: conns wait for
// it.
type memberErrors struct{ dial, check error }

func (p *Pool) copy() (s Status, errs []memberErrors) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s = p.counts
	s.Name, s.Balance, s.OnDown, s.Queued = p.c.Name, p.c.Balance, p.c.OnDown, p.queue.Len()
	s.Members = make([]MemberStatus, 0, len(p.members)+len(p.gone))
	errs = make([]memberErrors, 0, cap(s.Members))
	for _, list := range [][]*Member{p.members, p.gone} {
		for _, m := range list {
			s.Members = append(s.Members, m.status(now))
			errs = append(errs, memberErrors{m.dialErr, m.checkErr})
		}
	}
	for _, t := range p.targets {
		if t.named() {
			s.Names = append(s.Names, t.status())
		}
	}
	return s, errs
}

func (m *Member) status(now time.Time) MemberStatus {
	s := MemberStatus{
		Target: m.target.Name, Name: m.name, Address: m.at,
		State: m.state, Why: m.why, Since: m.since, Trial: m.trial, Standby: m.standby,
		Conns: m.conns, MaxConns: m.target.MaxConns, Weight: m.weightAt(now), Total: m.total,
		Failures: m.failures, Resets: m.resetCount, Dial: m.dialTook.Microseconds(),
		Checked: m.checked, Check: m.checkTook.Microseconds(),
	}
	if m.state == Ejected {
		s.Until = m.until
	}
	return s
}

func (t *target) status() NameStatus {
	return NameStatus{t.Name, t.Address.Host, t.Records, t.addresses, t.answered, t.asked, text(t.err), t.gone}
}

// text returns what an error says, or "".
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
