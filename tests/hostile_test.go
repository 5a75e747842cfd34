package tests

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"relayd/relay"
	"relayd/relay/upstream"
	"relayd/socket"
)

// Hostile clients meet every kind of listener: what each of them is, and what an
// honest client does there.

// A door is a listener of one kind, and how an honest client goes in.
type door struct {
	name  string
	on    string // its address
	proxy bool   // wants a PROXY header
	match bool   // wants to know the ClientHello
	up    string // its route's stages
	down  string
	to    string // its upstream, if not the usual one
	enter func(t *testing.T, h *inn) conn
}

// An inn is a relay with all the doors.
type inn struct {
	*relayd
	nest map[string]*relayd // other ends of tunnels, for the honest
}

const proxyHeader = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"

// doors are those that this machine can have.
func doors(t *testing.T) []door {
	t.Helper()
	cert, key := certificate(t)
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(hex.EncodeToString(make([]byte, 31))+"7f"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := "tls://127.0.0.1:0?cert=" + cert + "&key=" + key
	shared := "?tunnel_key=" + secret
	list := []door{
		{name: "tcp4", on: "127.0.0.1:0"},
		{name: "unix", on: unixAddress(t).String()},
		{name: "tls", on: own, enter: enterTLS("tls", "")},
		{name: "proxy", on: "127.0.0.1:0", proxy: true, enter: enterSaying("proxy", proxyHeader)},
		{name: "sni", on: "127.0.0.1:0", match: true, enter: enterSaying("sni", "")},
		{name: "proxy and sni", on: "127.0.0.1:0", proxy: true, match: true, enter: enterSaying("proxy and sni", proxyHeader)},
		{name: "proxy and tls", on: own, proxy: true, enter: enterTLS("proxy and tls", proxyHeader)},
		{name: "key", on: "tls://127.0.0.1:0" + shared, up: "unzstd", down: "zstd", enter: enterTunnel("key", shared, "zstd", "unzstd")},
		{name: "gunzip", on: "127.0.0.1:0", up: "gunzip", down: "gzip", enter: enterTunnel("gunzip", "", "gzip", "gunzip")},
		{name: "unzstd", on: "127.0.0.1:0", up: "unzstd", down: "zstd", enter: enterTunnel("unzstd", "", "zstd", "unzstd")},
		{name: "uns2", on: "127.0.0.1:0", up: "uns2", down: "s2", enter: enterTunnel("uns2", "", "s2", "uns2")},
		{name: "exec", on: "127.0.0.1:0", to: "exec:///bin/cat"},
	}
	for _, f := range families(t) {
		if f.name == "tcp6" {
			list = append(list, door{name: "tcp6", on: "[::1]:0"})
		}
	}
	return list
}

// openInn starts a relay with all doors, before an upstream that echoes. change may
// change what it likes.
func openInn(t *testing.T, list []door, change func(*relay.Config)) *inn {
	t.Helper()
	to := serve(t, address(t, "127.0.0.1:0"), echo)
	c := relay.Config{Upstreams: []upstream.Config{{Name: "main", Targets: []upstream.Target{{Address: to}}}}}
	for _, d := range list {
		l := relay.Listener{Name: d.name, Address: address(t, d.on), Route: d.name}
		if d.proxy {
			l.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		if d.match {
			l.Match = []relay.Match{{SNI: []string{"honest.example"}, Route: d.name}}
		}
		r := relay.Route{Name: d.name, Upstream: "main", Up: stages(t, d.up), Down: stages(t, d.down)}
		if d.to != "" {
			r.Upstream = d.name
			c.Upstreams = append(c.Upstreams, upstream.Config{Name: d.name, Targets: []upstream.Target{{Address: address(t, d.to)}}})
		}
		c.Listeners, c.Routes = append(c.Listeners, l), append(c.Routes, r)
	}
	change(&c)
	return &inn{startRelay(t, c), make(map[string]*relayd)}
}

// door returns the address of one.
func (h *inn) door(t *testing.T, name string) socket.Address {
	t.Helper()
	for _, l := range h.Listeners() {
		if l.Name == name {
			return l.Address
		}
	}
	t.Fatalf("there is no door %q", name)
	panic("unreachable")
}

// visit has an honest client go in by a door, and be answered.
func (h *inn) visit(t *testing.T, d door) {
	t.Helper()
	var c conn
	if d.enter == nil {
		c = dial(t, h.door(t, d.name))
	} else {
		c = d.enter(t, h)
	}
	exchange(t, c, string(clientHello(t))+"and more of an honest client's")
	c.Close()
}

// visitAll has an honest client go in by each.
func (h *inn) visitAll(t *testing.T, list []door) {
	t.Helper()
	for _, d := range list {
		h.visit(t, d)
	}
}

func enterSaying(name, first string) func(t *testing.T, h *inn) conn {
	return func(t *testing.T, h *inn) conn {
		c := dial(t, h.door(t, name))
		io.WriteString(c, first)
		return c
	}
}

func enterTLS(name, first string) func(t *testing.T, h *inn) conn {
	return func(t *testing.T, h *inn) conn {
		return shake(t, enterSaying(name, first)(t, h))
	}
}

// shake does the handshake of a client who knows whom he speaks to.
func shake(t *testing.T, c net.Conn) *tls.Conn {
	t.Helper()
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "honest.example"})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s
}

// enterTunnel goes in by the near end of a tunnel, which the inn keeps.
func enterTunnel(name, key, wrap, unwrap string) func(t *testing.T, h *inn) conn {
	return func(t *testing.T, h *inn) conn {
		near := h.nest[name]
		if near == nil {
			to := h.door(t, name)
			text := fmt.Sprintf("%s:%d", to.Host, to.Port)
			if key != "" {
				text = "tls://" + text + key
			}
			near = startRelay(t, relay.Config{To: address(t, text), Up: stages(t, wrap), Down: stages(t, unwrap)})
			h.nest[name] = near
		}
		return dial(t, near.addr())
	}
}

// clientHello returns one that is real, and short.
func clientHello(t *testing.T) []byte {
	t.Helper()
	us, them := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(us, &tls.Config{ServerName: "honest.example", NextProtos: []string{"h2"}, CurvePreferences: []tls.CurveID{tls.X25519}}).Handshake()
	}()
	b := make([]byte, 16<<10)
	n, err := them.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	them.Close()
	<-done
	return b[:n]
}

// fragmented returns a message of one record in records of n bytes.
func fragmented(record []byte, n int) (out []byte) {
	for body := record[5:]; len(body) > 0; {
		k := min(n, len(body))
		out = append(append(out, record[0], record[1], record[2], 0, byte(k)), body[:k]...)
		body = body[k:]
	}
	return out
}

// reasons counts the ends at each door, as in "tls-failed client".
func (h *inn) reasons() map[string]map[string]int {
	count := make(map[string]map[string]int)
	found, _ := h.log.find("conn ended")
	for _, r := range found {
		at := r.text("listener")
		if count[at] == nil {
			count[at] = make(map[string]int)
		}
		count[at][r.text("reason")+" "+r.text("first_closer")]++
	}
	return count
}

// held returns how much memory the process has in use: heap and stacks.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
