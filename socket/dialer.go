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
	tls         *tlsUse   // nil: plain
	over        *Dialling // stands for any that is over; nil if no options are late
	from        *sources  // nil: the system chooses
}

// NewDialer returns a dialer for a, or what is wrong with a as an upstream. If
// local addresses are given, it dials from those that are of the family of a, in
// turn, each with all its ports for every address that is dialled. When one has
// no port left the next is tried, and [IsNoPorts] holds for the error if none
// has. They are for TCP and TLS, and for addresses without the option bind.
//
// The files of a tls: address are read now, and when they change.
func NewDialer(a Address, from ...netip.Addr) (*Dialer, error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	d := &Dialer{a: a}
	if err := d.dialFrom(from); err != nil {
		return nil, err
	}
	if !a.onTCP() && a.Kind != Unix {
		return d, nil
	}
	s, err := a.settings(dialling)
	if err != nil {
		return nil, err
	}
	if a.Kind == TLS {
		d.tls, err = newTLSUse(a, &s, dialling)
		if err != nil {
			err = &Error{Op: "dial", Remote: a.String(), Err: err}
		}
		return d, err
	}
	d.s = s
	d.to = d.resolve()
	if d.from != nil {
		d.s.bindHost = d.from.hosts[0] // or another: it is bound, and its port can wait
	}
	d.early = s.early(a.Kind == TCP)
	if a.Kind == TCP {
		d.late = s.late()
		d.over = &Dialling{d: d, over: true}
	}
	return d, nil
}

// Dial is [Dial] to the dialer's address.
func (d *Dialer) Dial(ctx context.Context, at At) (*Socket, error) {
	if d.a.Kind == Exec {
		s, err := dialExec(ctx, d.a, at)
		return s, d.error(err)
	}
	u := new(underway)
	defer u.over()
	t, err := d.connect(ctx, u)
	if err != nil {
		return nil, d.error(err)
	}
	s, err := open(t, at)
	return s, d.error(err)
}

// dialExec starts a program.
func dialExec(ctx context.Context, a Address, at At) (*Socket, error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	return openExec(ctx, a, at)
}

// Address returns the address that is dialled.
func (d *Dialer) Address() Address { return d.a }

// error wraps what became of a dial.
func (d *Dialer) error(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "dial", Remote: d.a.String(), Err: reason(err)}
}

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
