package socket

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
)

// The sources are the local addresses that a [Dialer] dials from.
type sources struct {
	hosts []string
	bind  []sockaddr // for loops
	turn  atomic.Uint32
}

// dialFrom keeps those of a list that are of the family of d's address. A name
// may turn out to have addresses of either.
func (d *Dialer) dialFrom(list []netip.Addr) error {
	if len(list) == 0 {
		return nil
	}
	if !d.a.onTCP() {
		return &AddressError{d.a.String(), "it is not TCP, and dialled from no address"}
	}
	s, err := d.a.settings(dialling)
	if err != nil {
		return err
	}
	if s.bindHost != "" {
		return &AddressError{d.a.String(), "it has an option bind, and other sources as well"}
	}
	to, err := netip.ParseAddr(d.a.Host)
	literal := err == nil
	from := new(sources)
	for _, source := range list {
		if source = source.Unmap(); source.Zone() != "" {
			return &AddressError{d.a.String(), fmt.Sprintf("source %v has a zone: use the option interface", source)}
		}
		if !literal || source.Is4() == to.Unmap().Is4() {
			from.hosts = append(from.hosts, source.String())
			from.bind = append(from.bind, inetSockaddr(source, 0))
		}
	}
	if len(from.hosts) == 0 {
		return &AddressError{d.a.String(), fmt.Sprintf("none of the sources %v is of its family", list)}
	}
	d.from = from
	return nil
}

// each yields the sources once, beginning with the one whose turn it is.
func (s *sources) each(yield func(int) bool) {
	first := int(s.turn.Add(1)-1) % len(s.hosts)
	for i := range s.hosts {
		if !yield((first + i) % len(s.hosts)) {
			return
		}
	}
}

// connect is reach from the next source that has a port left.
func (d *Dialer) connect(ctx context.Context, u *underway) (t transport, err error) {
	var side *tlsSide
	if d.tls != nil {
		side = d.tls.tlsSide
	}
	if d.from == nil {
		return reach(ctx, d.a, side, u)
	}
	for source := range d.from.each {
		t, err = reach(ctx, d.a.WithDefault("bind", bindValue(d.from.hosts[source])), side, u)
		if !IsNoPorts(err) {
			break
		}
	}
	return t, err
}

// bindValue writes a host as the option bind takes it.
func bindValue(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}
