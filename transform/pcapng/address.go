package pcapng

import "net/netip"

// An address is that of one end of a stream, as its packets have it.
type address = netip.AddrPort

// What stands for a side without an IP address.
var (
	inventedClient4   = netip.MustParseAddr("192.0.2.1")
	inventedUpstream4 = netip.MustParseAddr("192.0.2.2")
	inventedClient6   = netip.MustParseAddr("2001:db8::1")
	inventedUpstream6 = netip.MustParseAddr("2001:db8::2")
)

const (
	firstInventedPort    = 1024
	inventedPorts        = 1<<16 - firstInventedPort
	inventedUpstreamPort = 1
)

// addresses returns those of a new conn, both of one family. w.mu is held.
func (w *Writer) addresses(client, upstream string) (from, to address) {
	from, to = w.pair(client, upstream)
	for tries := 0; w.live[[2]address{from, to}] && tries < inventedPorts; tries++ {
		from, to = w.pair("", upstream)
	}
	w.live[[2]address{from, to}] = true
	return from, to
}

func (w *Writer) pair(client, upstream string) (from, to address) {
	from, fromOK := parse(client)
	to, toOK := parse(upstream)
	six := fromOK && from.Addr().Is6() || toOK && to.Addr().Is6()
	if !fromOK {
		from = netip.AddrPortFrom(inventedClient4, firstInventedPort+w.invented)
		if six {
			from = netip.AddrPortFrom(inventedClient6, from.Port())
		}
		w.invented = (w.invented + 1) % inventedPorts
	}
	if !toOK {
		to = netip.AddrPortFrom(inventedUpstream4, inventedUpstreamPort)
		if six {
			to = netip.AddrPortFrom(inventedUpstream6, inventedUpstreamPort)
		}
	}
	if six {
		from, to = widen(from), widen(to)
	}
	return from, to
}

// parse returns an IP address with its port, if text is one.
func parse(text string) (address, bool) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return address{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), true
}

// widen makes an IPv4 address an IPv6 one.
func widen(a address) address {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}
