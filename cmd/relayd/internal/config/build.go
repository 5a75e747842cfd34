package config

// From the file's structs to those of the packages that do the work.

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"relayd/relay"
	"relayd/socket"
)

// address returns where the listener listens: TLS is a kind of address, and its
// section the options of one.
func (l *Listener) address() (socket.Address, error) {
	if l.TLS == nil {
		return l.On.Address, nil
	}
	text := l.On.Address.String()
	place, query, has := strings.Cut(text, "?")
	switch rest, plain := strings.CutPrefix(place, "tcp://"); {
	case plain:
		place = "tls://" + rest
	case !strings.HasPrefix(place, "tls://"):
		return socket.Address{}, errors.New("TLS goes with a TCP port: write on: tcp://HOST:PORT")
	}
	var options []string
	if has {
		options = append(options, query)
	}
	for _, o := range l.TLS.options() {
		if option(l.On.Address, o.name) != "" {
			return socket.Address{}, errors.New(o.name + " is an option of the address, too: write it in one place")
		}
		options = append(options, o.name+"="+escape(o.value))
	}
	return parseAddress(place+"?"+strings.Join(options, "&"), socket.Address.Listenable)
}

// A tlsOption is an option of a tls:// address.
type tlsOption struct{ name, value string }

// options returns what the section says, as options.
func (t *TLS) options() []tlsOption {
	var all []tlsOption
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				all = append(all, tlsOption{name, v})
			}
		}
	}
	unless := func(usual, w Word) string { // what is usual goes with everything
		if w == usual {
			return ""
		}
		return string(w)
	}
	add("cert", string(t.Cert))
	add("key", string(t.Key))
	add("client_ca", string(t.ClientCA))
	add("client_auth", unless("require", t.ClientAuth))
	add("verify", unless("full", t.Verify))
	add("allow_cn", words(t.AllowCN)...)
	add("allow_san", words(t.AllowSAN)...)
	add("allow_spki", words(t.AllowSPKI)...)
	add("alpn", words(t.ALPN)...)
	add("min", unless("1.2", t.Min))
	add("tunnel_key", string(t.TunnelKey))
	add("identity", string(t.Identity))
	add("peer", string(t.Peer))
	return all
}

// escape writes a value as the query of an address has it.
func escape(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }

// Relay returns what package relay is started with, but for its log and its
// event loops. The configuration has been checked.
func (c *Config) Relay() (relay.Config, error) {
	r := relay.Config{
		Timeouts: c.Timeouts.relay(),
		Limits: relay.Limits{
			MaxConns:     int(c.Limits.MaxConns),
			MaxPerSource: int(c.Limits.MaxPerSource),
			AcceptRate:   float64(c.Limits.AcceptRate),
		},
		LogEvery: time.Duration(c.Log.Every),
		LogRate:  c.Log.Rate.OrOff(),
	}
	r.Timeouts.Drain = c.Drain.Timeout.OrOff()
	if err := r.Policy.Set(string(c.DropPolicy)); err != nil {
		return r, err
	}
	for _, l := range c.Listeners {
		built, err := l.relay(c.origins[below("listeners", l.Name)].Line > 0)
		if err != nil {
			return r, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		r.Listeners = append(r.Listeners, built)
	}
	for _, x := range c.Routes {
		built, err := x.relay(r.Timeouts.Drain)
		if err != nil {
			return r, fmt.Errorf("route %s: %w", x.Name, err)
		}
		r.Routes = append(r.Routes, built)
	}
	for _, u := range c.Upstreams {
		built, err := u.relay(c.Origin)
		if err != nil {
			return r, err
		}
		r.Upstreams = append(r.Upstreams, built)
	}
	return r, nil
}

// relay returns the listener. One that nobody has named goes by its address.
func (l *Listener) relay(hasName bool) (relay.Listener, error) {
	a, err := l.address()
	r := relay.Listener{
		Address:        a,
		Route:          string(l.Route),
		Allow:          prefixes(l.Allow),
		Deny:           prefixes(l.Deny),
		MaxConns:       int(l.Limits.MaxConns),
		MaxPerSource:   int(l.Limits.MaxPerSource),
		AcceptRate:     float64(l.Limits.AcceptRate),
		ProxyFrom:      prefixes(l.ProxyFrom),
		PrefaceTimeout: l.PrefaceTimeout.OrOff(),
	}
	if hasName {
		r.Name = l.Name
	}
	for _, m := range l.Match {
		r.Match = append(r.Match, relay.Match{SNI: words(m.SNI), ALPN: words(m.ALPN), Route: string(m.Route)})
	}
	return r, err
}

func prefixes(list []Prefix) []netip.Prefix {
	var p []netip.Prefix
	for _, x := range list {
		p = append(p, x.Prefix)
	}
	return p
}

func words[T ~string](list []T) []string {
	var w []string
	for _, x := range list {
		w = append(w, string(x))
	}
	return w
}

var (
	proxyVersions = map[Word]relay.ProxyVersion{"off": relay.NoProxy, "v1": relay.ProxyV1, "v2": relay.ProxyV2, "v2-tlv": relay.ProxyV2TLV}
	onRemoves     = map[Word]relay.OnRemove{"keep": relay.KeepConns, "drain": relay.DrainConns, "kill": relay.KillConns}
)

// relay returns the route.
func (r *Route) relay(drain time.Duration) (relay.Route, error) {
	up, down, err := r.Chains()
	if err != nil {
		return relay.Route{}, err
	}
	t := r.Timeouts.relay()
	t.Drain = drain
	return relay.Route{
		Name: r.Name, Upstream: string(r.Upstream), Up: up, Down: down, Timeouts: t,
		SendProxy: proxyVersions[r.SendProxy], OnRemove: onRemoves[r.OnRemove],
	}, nil
}

// relay returns the timeouts as package relay has them.
func (t *Timeouts) relay() relay.Timeouts {
	return relay.Timeouts{
		Connect:     t.Connect.OrOff(),
		Idle:        t.Idle.OrOff(),
		HalfClosed:  t.HalfClosed.OrOff(),
		WriteStall:  t.WriteStall.OrOff(),
		Linger:      t.Linger.OrOff(),
		MaxLinger:   t.MaxLinger.OrOff(),
		MaxLifetime: t.MaxLifetime.OrOff(),
	}
}
