package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/transform"
)

// Every key that package relay is about reaches it.
func TestRelay(t *testing.T) {
	c, p := checkText(`version: 1
timeouts: {connect: 1s, idle: off, linger: 3s}
drain: {timeout: 7s}
limits: {max-conns: 9, max-per-source: 8, accept-rate: 7.5}
log: {every: 6s, rate: off}
drop-policy: trap
listeners:
  web:
    on: 127.0.0.1:80
    route: web
    match: [{sni: ["a.test", "*.b.test", "*"], alpn: h2, route: web}]
    allow: [10.0.0.0/8]
    deny: 10.1.1.1
    proxy-from: [192.0.2.0/24]
    limits: {max-conns: 5, max-per-source: 4, accept-rate: 3}
    preface-timeout: off
routes:
  web:
    upstream: web
    up: count
    wrap: zstd
    bandwidth: {conn: {up: 1M}, source: {down: 2MiB/s}, route: {up: 3k}}
    timeouts: {idle: 1m}
    send-proxy: v2
    on-remove: kill
upstreams:
  web:
    targets: [{address: 10.0.0.1:1, name: one, weight: off, max-conns: 3}, 10.0.0.2:1]
    balance: hash
    check: {every: 1s, timeout: 2s, rise: 3, fall: 4, send: 'a\n', expect: b}
    eject: {failures: off, for: 2s, max-for: 3s, max-ejected: 4%, resets: true}
    retry: {attempts: 5, backoff: {min: 1s, max: 2s}, timeout: off}
    slow-start: 8s
    queue: {length: off, timeout: 9s}
    resolve: {every: off}
    on-down: fin
    sources: [127.0.0.9]
`)
	if len(p.List) > 0 {
		t.Fatal(p)
	}
	got, err := c.Relay()
	if err != nil {
		t.Fatal(err)
	}
	chain := func(text string) transform.Chain {
		c, err := transform.ParseChain(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	top := relay.Timeouts{Connect: time.Second, Idle: -1, HalfClosed: 5 * time.Minute, WriteStall: 15 * time.Minute, Linger: 3 * time.Second, MaxLinger: 15 * time.Minute, MaxLifetime: -1, Drain: 7 * time.Second}
	own := top
	own.Idle = time.Minute
	address := func(host string, port uint16) socket.Address {
		return socket.Address{Kind: socket.TCP, Host: host, Port: port}
	}
	want := relay.Config{
		Timeouts: top,
		Listeners: []relay.Listener{{
			Name: "web", Address: address("127.0.0.1", 80), Route: "web",
			Match: []relay.Match{{SNI: []string{"a.test", "*.b.test", "*"}, ALPN: []string{"h2"}, Route: "web"}},
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Deny: []netip.Prefix{netip.MustParsePrefix("10.1.1.1/32")},
			MaxConns: 5, MaxPerSource: 4, AcceptRate: 3, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, PrefaceTimeout: -1,
		}},
		Routes: []relay.Route{{
			Name: "web", Upstream: "web", Up: chain("limit:1M,limit:3k,scope=route,count,zstd"), Down: chain("limit:2M,scope=source,unzstd"),
			Timeouts: own, SendProxy: relay.ProxyV2, OnRemove: relay.KillConns,
		}},
		Upstreams: []upstream.Config{{
			Name:    "web",
			Targets: []upstream.Target{{Name: "one", Address: address("10.0.0.1", 1), Weight: -1, MaxConns: 3}, {Address: address("10.0.0.2", 1), Weight: 1}},
			Balance: upstream.Hash,
			Check:   upstream.Check{On: true, Every: time.Second, Timeout: 2 * time.Second, Rise: 3, Fall: 4, Send: `a\n`, Expect: "b"},
			Eject:   upstream.Eject{Fails: -1, Time: 2 * time.Second, Max: 3 * time.Second, MaxPercent: 4, Resets: true},
			Retry:   upstream.Retry{Attempts: 5, Min: time.Second, Max: 2 * time.Second, Timeout: -1}, SlowStart: 8 * time.Second,
			Queue: upstream.Queue{Max: -1, Timeout: 9 * time.Second}, Resolve: upstream.Resolve{Every: -1}, OnDown: upstream.FIN,
			Sources: []netip.Addr{netip.MustParseAddr("127.0.0.9")},
		}},
		Limits: relay.Limits{MaxConns: 9, MaxPerSource: 8, AcceptRate: 7.5}, Policy: lifetime.Trap, LogEvery: 6 * time.Second, LogRate: -1,
	}
	for i, r := range want.Routes { // chains are compared as they are written
		if g := got.Routes[i]; g.Up.String() != r.Up.String() || g.Down.String() != r.Down.String() {
			t.Errorf("the chains are %v and %v, want %v and %v", g.Up, g.Down, r.Up, r.Down)
		}
		got.Routes[i].Up, got.Routes[i].Down, want.Routes[i].Up, want.Routes[i].Down = nil, nil, nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// What a file leaves out is what the packages below would do themselves.
func TestDefaultsAreThePackages(t *testing.T) {
	c, p := checkText(strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80, 10.0.0.2:80]", 1))
	if len(p.List) > 0 {
		t.Fatal(p)
	}
	got, err := c.Relay()
	if err != nil {
		t.Fatal(err)
	}
	u := got.Upstreams[0]
	if plain := (upstream.Config{Name: "web", Targets: []upstream.Target{{Address: u.Targets[0].Address}, {Address: u.Targets[1].Address}}}); !equalUpstreams(u, plain) {
		t.Errorf("%+v is not the package's default", u)
	}
}

// equalUpstreams compares without what is off: how it would be.
func equalUpstreams(a, b upstream.Config) bool {
	a.Check.Every, b.Check.Every = time.Second, time.Second
	return a.Equal(b)
}

// The section tls is the options of an address.
func TestTLSBecomesOptions(t *testing.T) {
	x := &TLS{Cert: "/a b", Key: "/k&", ClientCA: "/c", ClientAuth: "optional", Verify: "full", AllowCN: []Text{"x", "y"}, ALPN: []Protocol{"h2", "http/1.1"}, Min: "1.3"}
	var got []string
	for _, o := range x.options() {
		got = append(got, o.name+"="+escape(o.value))
	}
	const want = "cert=%2Fa%20b key=%2Fk%26 client_ca=%2Fc client_auth=optional allow_cn=x allow_cn=y alpn=h2 alpn=http%2F1.1 min=1.3"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// One address is dialled once, unless somebody wants it otherwise; a name may
// have many.
func TestAttempts(t *testing.T) {
	for text, want := range map[string]int{
		"10.0.0.1:80":                            -1,
		"/run/s":                                 -1,
		"'echo:'":                                -1,
		"example.com:80":                         0,
		"[10.0.0.1:80, 10.0.0.2:80]":             0,
		"10.0.0.1:80, retry: {attempts: 4}":      4,
		"example.com:80, retry: {attempts: off}": -1,
		"tcp://_a._tcp.b.test:0, resolve: {srv: true}": 0,
	} {
		c, p := checkText(strings.Replace(good, "[10.0.0.1:80]", text, 1))
		if len(p.List) > 0 || c.Upstreams[0].attempts() != want {
			t.Errorf("%s: %d, want %d; %v", text, c.Upstreams[0].attempts(), want, p)
		}
	}
}
