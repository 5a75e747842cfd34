package config

// Values that other packages parse: addresses, networks and stages.

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"relayd/socket"
	"relayd/transform"
)

// maxAddress is longer than any address that is meant.
const maxAddress = 8 << 10

// parseAddress parses an address for a use.
func parseAddress(text string, fits func(socket.Address) error) (socket.Address, error) {
	if len(text) > maxAddress {
		return socket.Address{}, errors.New("an address is not that long")
	}
	a, err := socket.ParseAddress(text)
	if err == nil {
		err = fits(a)
	}
	var bad *socket.AddressError
	if errors.As(err, &bad) {
		return a, fmt.Errorf("%s is not an address for this: %s", show(text), bad.Reason)
	}
	return a, err
}

// A ListenAddress is listened on.
type ListenAddress struct{ socket.Address }

func (a *ListenAddress) set(text string, _ *field) (err error) {
	a.Address, err = parseAddress(text, socket.Address.Listenable)
	return err
}

func (a *ListenAddress) hide(raw string)        { hideArguments(&a.Address, raw) }
func (a *ListenAddress) String() string         { return a.Address.String() }
func (a *ListenAddress) takes() scalars         { return texts }
func (a *ListenAddress) pattern(*field) pattern { return pattern{format: "relayd-listen"} }

// A DialAddress is dialled.
type DialAddress struct{ socket.Address }

func (a *DialAddress) set(text string, _ *field) (err error) {
	a.Address, err = parseAddress(text, dialable)
	return err
}

// hideArguments keeps the arguments of a program to ourselves. Of the other kinds
// an address says only places: hosts, ports and files.
func hideArguments(a *socket.Address, raw string) {
	if a.Kind == socket.Exec {
		a.Shown = raw
	}
}

// dialable takes what can be dialled, and names of SRV records, which have the
// port. Config.Check looks whether they are meant.
func dialable(a socket.Address) error {
	if a.Kind == socket.TCP && a.Host != "" && a.Port == 0 {
		a.Port = 1
	}
	return a.Dialable()
}

func (a *DialAddress) hide(raw string)        { hideArguments(&a.Address, raw) }
func (a *DialAddress) String() string         { return a.Address.String() }
func (a *DialAddress) takes() scalars         { return texts }
func (a *DialAddress) pattern(*field) pattern { return pattern{format: "relayd-dial"} }

// An AdminAddress is where the admin API is, or none.
type AdminAddress struct {
	socket.Address
	None bool
}

// errNotAdmin is for addresses where HTTP cannot be served.
var errNotAdmin = errors.New("the admin API is at a Unix socket or a TCP port, or none")

func (a *AdminAddress) set(text string, _ *field) error {
	if text == "none" || text == off {
		*a = AdminAddress{None: true}
		return nil
	}
	parsed, err := parseAddress(text, socket.Address.Listenable)
	if err == nil && parsed.Kind != socket.Unix && parsed.Kind != socket.TCP {
		err = fmt.Errorf("%s will not do: %w", show(text), errNotAdmin)
	}
	if err == nil {
		*a = AdminAddress{Address: parsed}
	}
	return err
}

func (a *AdminAddress) String() string {
	if a.None {
		return "none"
	}
	return a.Address.String()
}

func (a *AdminAddress) takes() scalars         { return texts }
func (a *AdminAddress) pattern(*field) pattern { return pattern{format: "relayd-admin"} }

// A Prefix is a network, or one address.
type Prefix struct{ netip.Prefix }

func (p *Prefix) set(text string, _ *field) error {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err == nil && a.Zone() == "" {
			p.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
			return nil
		}
	}
	parsed, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("%s is not a network: write 10.0.0.0/8, 2001:db8::/32, or one IP address", show(text))
	}
	if parsed.Masked() != parsed {
		return fmt.Errorf("%s has bits behind its network: write %s, or the address alone", show(text), parsed.Masked())
	}
	if a := parsed.Addr(); a.Is4In6() && parsed.Bits() >= 96 {
		parsed = netip.PrefixFrom(a.Unmap(), parsed.Bits()-96)
	}
	p.Prefix = parsed
	return nil
}

func (p *Prefix) String() string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Prefix.String()
}

func (p *Prefix) takes() scalars         { return texts }
func (p *Prefix) pattern(*field) pattern { return pattern{format: "relayd-network"} }

// An IP is an address of this machine.
type IP struct{ netip.Addr }

func (i *IP) set(text string, _ *field) error {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("%s is not an IP address of a machine", show(text))
	}
	i.Addr = a
	return nil
}

func (i *IP) String() string         { return i.Addr.String() }
func (i *IP) takes() scalars         { return texts }
func (i *IP) pattern(*field) pattern { return pattern{format: "relayd-ip"} }

// Stages are one stage, or several with commas between them.
type Stages struct{ transform.Chain }

func (s *Stages) set(text string, _ *field) error {
	if len(text) > maxText {
		return errLong
	}
	chain, err := transform.ParseChain(text)
	if err == nil && len(chain) == 0 {
		err = errors.New("there is no stage in it; leave the key out")
	}
	s.Chain = chain
	return err
}

func (s *Stages) hide(raw string) {
	if len(s.Chain) > 1 {
		raw = "" // whose it is is not known
	}
	for i := range s.Chain {
		s.Chain[i] = s.Chain[i].Hidden(plain(raw, maxProblem))
	}
}

func (s *Stages) String() string         { return s.Chain.String() }
func (s *Stages) takes() scalars         { return texts }
func (s *Stages) pattern(*field) pattern { return pattern{format: "relayd-stages"} }
