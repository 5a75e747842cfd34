package socket

import (
	"context"
	"net/netip"
)

// A Dialer dials one address any number of times. What the address says is
// worked out once.
type Dialer struct {
	a Address
	s settings
	// to is where a loop connects to; empty if that takes a goroutine: to
	// resolve a name, or because the kind is another.
	to sockaddr
	// early and late are the options of its sockets, for those that a loop
	// makes; see settings.
	early, late []sockopt
	over        *Dialling // stands for any that is over; nil if no options are late
}

// NewDialer returns a dialer for a, or what is wrong with a as an upstream.
func NewDialer(a Address) (*Dialer, error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	d := &Dialer{a: a}
	if a.Kind != TCP && a.Kind != Unix {
		return d, nil
	}
	s, err := a.settings(dialling)
	if err != nil {
		return nil, err
	}
	d.s = s
	d.to = d.resolve()
	d.early = s.early(a.Kind == TCP)
	if a.Kind == TCP {
		d.late = s.late()
		d.over = &Dialling{d: d, over: true}
	}
	return d, nil
}

// Dial is [Dial] to the dialer's address.
func (d *Dialer) Dial(ctx context.Context, at At) (*Socket, error) { return Dial(ctx, d.a, at) }

// OnLoop reports whether [Loop.Dial] can dial the address: a TCP address
// without a name to resolve, or a Unix socket, without options that take more
// than setting, on a system with event loops.
func (d *Dialer) OnLoop() bool { return d.to.size > 0 }

// resolve returns the address to connect to, if it takes no looking up.
func (d *Dialer) resolve() (to sockaddr) {
	if d.a.Kind == Unix {
		return unixSockaddr(d.a.address())
	}
	s := &d.s
	if s.mptcp || s.fastOpen || s.transparent || s.mark != 0 || s.bindHost != "" || s.device != "" {
		return to
	}
	ip, err := netip.ParseAddr(d.a.Host)
	if err != nil || ip.Zone() != "" {
		return to
	}
	return inetSockaddr(ip, d.a.Port)
}
