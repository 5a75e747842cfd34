package config

import (
	"net/netip"
	"time"

	"relayd/relay/upstream"
	"relayd/socket"
)

// relay returns the upstream as its package has it, which may find something
// wrong with it.
//
// Origins are of the keys of a check: what is from a file is not repeated.
func (u *Upstream) relay(origin func(path string) Origin) (upstream.Config, error) {
	r := upstream.Config{
		Name:      u.Name,
		Check:     u.Check.relay(),
		Eject:     u.Eject.relay(),
		Retry:     u.Retry.relay(u.attempts()),
		SlowStart: time.Duration(u.SlowStart),
		Queue:     upstream.Queue{Max: u.Queue.Length.OrOff(), Timeout: u.Queue.Timeout.OrOff()},
		Resolve:   upstream.Resolve{Every: u.Resolve.Every.OrOff()},
	}
	if err := r.Balance.UnmarshalText([]byte(u.Balance)); err != nil {
		return r, err
	}
	if err := r.OnDown.UnmarshalText([]byte(u.OnDown)); err != nil {
		return r, err
	}
	check := below("upstreams", u.Name) + ".check."
	r.Check.Secret = origin(check+"send").Raw != "" || origin(check+"expect").Raw != ""
	records := upstream.Hosts
	if u.Resolve.SRV {
		records = upstream.SRV
	}
	for _, t := range u.Targets {
		r.Targets = append(r.Targets, upstream.Target{
			Name: string(t.Name), Address: t.Address.Address, Weight: t.Weight.OrOff(), MaxConns: int(t.MaxConns), Records: records,
		})
	}
	for _, s := range u.Sources {
		r.Sources = append(r.Sources, s.Addr)
	}
	return r, r.Validate()
}

func (c *Check) relay() upstream.Check {
	return upstream.Check{
		On: c.Every != 0, Every: time.Duration(c.Every), Timeout: time.Duration(c.Timeout),
		Rise: int(c.Rise), Fall: int(c.Fall), Send: string(c.Send), Expect: string(c.Expect),
	}
}

func (e *Eject) relay() upstream.Eject {
	return upstream.Eject{
		Fails: e.Failures.OrOff(), Time: time.Duration(e.For), Max: time.Duration(e.MaxFor),
		MaxPercent: int(e.MaxEjected), Resets: bool(e.Resets),
	}
}

// attempts returns how often to dial. One address that cannot be reached is not
// better reached at once again.
func (u *Upstream) attempts() int {
	n := int(u.Retry.Attempts)
	if n != 0 || len(u.Targets) != 1 || bool(u.Resolve.SRV) {
		return n
	}
	a := u.Targets[0].Address
	if _, err := netip.ParseAddr(a.Host); a.Kind == socket.TCP && err != nil {
		return n // a name, of any number of addresses
	}
	return -1
}

func (r *Retry) relay(attempts int) upstream.Retry {
	return upstream.Retry{
		Attempts: attempts, Min: time.Duration(r.Backoff.Min), Max: time.Duration(r.Backoff.Max), Timeout: r.Timeout.OrOff(),
	}
}
