package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"relayd/socket"
)

// A target is one of a pool, and its members.
type target struct {
	Target
	hand    State // Up: nobody has set it
	members []*Member

	// Of one with a name. The lock is the pool's.
	asking    bool
	askAt     time.Time // the zero time: when a dial fails
	asked     time.Time // when the last lookup ended
	answered  time.Time // when the last good one did
	addresses int
	failed    int // lookups in a row
	err       error
	known     map[string][]netip.Addr // the last answers, by host; replaced, never changed
	gone      Counts                  // of members that are forgotten
}

// The bounds of looking up.
const (
	maxLookups   = 8    // at a time
	maxAddresses = 256  // of a name
	maxPlaces    = 4096 // that are looked at to find them
	maxServices  = 64   // of a SRV answer
	longestRetry = time.Hour
)

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func lookupSRV(ctx context.Context, name string) ([]*net.SRV, error) {
	_, list, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
	return list, err
}

// A place is one address of a name.
type place struct {
	at       netip.AddrPort
	share    int
	priority uint16
}

// A lookingUp is one lookup of a target's name.
type lookingUp struct {
	p    *Pool
	t    *target
	last map[string][]netip.Addr // answers of the lookup before
	now  map[string][]netip.Addr // and of this one
	list []place
	new  bool // some of it is an answer, and not the one before
}

// run looks the name up, and makes the answer the target's members. Without an
// answer they stay.
func (l *lookingUp) run() {
	p, t := l.p, l.t
	ctx, cancel := context.WithTimeout(p.ctx, p.c.Resolve.Timeout)
	err := l.find(ctx)
	cancel()
	l.tidy()
	now := time.Now()

	p.mu.Lock()
	t.asking, t.asked = false, now
	if p.closed {
		p.mu.Unlock()
		return
	}
	first := err != nil && t.err == nil
	var came, went []string
	if len(l.list) > 0 {
		var adoptErr error
		came, went, adoptErr = p.adopt(t, l.list, now)
		err = cmp.Or(err, adoptErr)
	}
	if l.new {
		t.answered = now
	}
	p.answer(t, l.now, err, now)
	p.mu.Unlock()
	poke(p.wake)

	log := p.o.Log.With("upstream", p.c.Name, "target", t.Name, "host", t.Address.Host)
	if first {
		log.Warn("name was not found: its last addresses stay", "err", err)
	}
	if len(came)+len(went) > 0 {
		log.Info("addresses of a name have changed", "came", came, "went", went)
	}
}

// answer notes how a lookup ended, and when there is to be another one.
func (p *Pool) answer(t *target, known map[string][]netip.Addr, err error, now time.Time) {
	t.err = err
	r := &p.c.Resolve
	if err == nil {
		t.failed, t.known = 0, known
		t.askAt = time.Time{}
		if r.Every > 0 {
			t.askAt = now.Add(p.jitter(r.Every))
		}
		return
	}
	if len(known) > 0 {
		t.known = known
	}
	wait := r.Min
	for i := 0; i < t.failed && wait < longestRetry; i++ {
		wait *= 2
	}
	t.failed++
	if r.Every > 0 {
		wait = min(wait, max(r.Every, r.Min))
	}
	t.askAt = now.Add(p.jitter(wait))
}

// find asks for the places that the target's name stands for, and adds them to
// the list. Of several hosts that a service names, those that have no answer
// keep their last one.
func (l *lookingUp) find(ctx context.Context) error {
	t := l.t
	if t.Records == Hosts {
		return l.host(ctx, t.Address.Host, place{at: netip.AddrPortFrom(netip.Addr{}, t.Address.Port), share: 1})
	}
	services, err := l.p.o.LookupSRV(ctx, t.Address.Host)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range services[:min(len(services), maxServices)] {
		if s.Target == "." || s.Port == 0 {
			continue // there is no such service, RFC 2782 says
		}
		at := place{netip.AddrPortFrom(netip.Addr{}, s.Port), max(int(s.Weight), 1), s.Priority}
		if err := l.host(ctx, s.Target, at); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Target, err))
		}
	}
	if len(l.list)+len(errs) == 0 {
		return errNoAddress
	}
	return errors.Join(errs...)
}

// tidy puts the list in the order that it has in every process, whatever order
// the answers came in: the best priority first, IPv6 before IPv4. Each address is
// in it once.
func (l *lookingUp) tidy() {
	byAddress := func(a, b place) int {
		return cmp.Or(-cmp.Compare(a.at.Addr().BitLen(), b.at.Addr().BitLen()), a.at.Compare(b.at))
	}
	byPriority := func(a, b place) int { return cmp.Compare(a.priority, b.priority) }
	slices.SortFunc(l.list, func(a, b place) int { return cmp.Or(byAddress(a, b), byPriority(a, b)) })
	l.list = slices.CompactFunc(l.list, func(a, b place) bool { return a.at == b.at })
	slices.SortStableFunc(l.list, byPriority)
	l.list = l.list[:min(len(l.list), maxAddresses)]
}

// host adds the addresses of a host to the list, at a place that has all but the
// address.
func (l *lookingUp) host(ctx context.Context, name string, at place) error {
	addrs, err := l.p.o.Lookup(ctx, name)
	if err == nil && len(addrs) == 0 {
		err = errNoAddress
	}
	if err != nil {
		addrs = l.last[name]
	} else {
		l.new = true
	}
	if len(addrs) > 0 {
		if l.now == nil {
			l.now = make(map[string][]netip.Addr)
		}
		addrs = addrs[:min(len(addrs), maxPlaces)]
		l.now[name] = addrs
	}
	for _, ip := range addrs {
		at.at = netip.AddrPortFrom(ip.Unmap(), at.at.Port())
		if ip.IsValid() && len(l.list) < maxPlaces {
			l.list = append(l.list, at)
		}
	}
	return err
}

// adopt makes a list of places the members of a target. Members that stay keep
// what is known of them; the conns of those that go do go on.
func (p *Pool) adopt(t *target, list []place, now time.Time) (came, went []string, err error) {
	known := make(map[socket.Address]*Member)
	for _, m := range slices.Concat(t.members, p.gone) {
		if m.target == t {
			known[m.address] = m
		}
	}
	var members []*Member
	for _, at := range list {
		a := t.Address
		a.Host, a.Port = at.at.Addr().String(), at.at.Port()
		m := known[a]
		if m == nil {
			var cannot error
			if m, cannot = p.arrive(t, a, now); cannot != nil {
				err = cannot // no source of its family, for one
				continue
			}
		}
		if known[a] == nil || m.out {
			came = append(came, netAddress(a))
		}
		delete(known, a)
		m.out, m.share, m.priority = false, at.share, at.priority
		members = append(members, m)
	}
	if len(members) == 0 {
		return nil, nil, fmt.Errorf("no address of the answer can be dialled: %w", err)
	}
	p.gone = slices.DeleteFunc(p.gone, func(m *Member) bool { return m.target == t })
	t.members, t.addresses = members, len(members)
	for a, m := range known {
		if !m.out {
			went = append(went, netAddress(a))
		}
		m.out = true
		if m.conns > 0 {
			p.gone = append(p.gone, m)
		} else {
			t.gone = t.gone.Plus(m.counted())
		}
	}
	slices.Sort(went)
	p.collect()
	for _, m := range members {
		p.update(m, now)
	}
	for _, m := range known {
		p.update(m, now)
	}
	p.serve(now)
	return came, went, nil
}

// arrive makes a member of an address that is new. In a pool that lives it
// starts slowly.
func (p *Pool) arrive(t *target, a socket.Address, now time.Time) (*Member, error) {
	m, err := p.newMember(t, t.Name+"@"+netAddress(a), a, now)
	if err != nil {
		return nil, err
	}
	if t.answered.IsZero() {
		m.ramp = time.Time{}
	}
	spread := min(p.c.Check.Every, firstChecks)
	m.checkAt = now.Add(time.Duration(p.rand.Int64N(int64(spread))))
	m.told = m.state
	return m, nil
}

// netAddress writes the HOST:PORT of an address.
func netAddress(a socket.Address) string {
	return net.JoinHostPort(a.Host, fmt.Sprint(a.Port))
}

// is4 reports whether a member's address is of IPv4.
func (m *Member) is4() bool {
	ip, err := netip.ParseAddr(m.address.Host)
	return err == nil && ip.Is4()
}

// ask looks a target's name up soon, for a dial has failed.
func (p *Pool) ask(t *target) {
	if !t.named() || t.asking {
		return
	}
	at := t.asked.Add(p.c.Resolve.Min)
	if t.askAt.IsZero() || at.Before(t.askAt) {
		t.askAt = at
		poke(p.wake)
	}
}
