package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/tests/program"
	"relayd/transform"
)

// The kinds of address, and what comes before the bytes, between two ends that
// have relays between them.

// A way is how a client comes to a server, without the chains.
type way struct {
	name string
	// enter returns where the first relay listens, and what gives the client's
	// end once it does, at the address that it has then.
	enter func(t *testing.T) (at socket.Address, dial func(socket.Address) (net.Conn, error))
	// leave returns where the last relay dials, and what gives the server's end
	// of what is dialled next.
	leave func(t *testing.T) (to []socket.Address, accept func() (net.Conn, error))
	// between is where the second relay listens, if it takes two, or a chain does.
	between hop
	two     bool
	once    bool // it has one conn, and then its relays end
	proxy   bool // PROXY headers of all versions
}

// A hop is where somebody listens, and what options its neighbour dials with.
type hop struct {
	listen func(t *testing.T) socket.Address
	with   string
}

func (h hop) to(at socket.Address) socket.Address {
	at.Options = h.with
	return at
}

// abstracts counts, so that each name is new.
var abstracts atomic.Int64

// abstract returns a name of Linux's that nobody has.
func abstract(t *testing.T) socket.Address {
	return address(t, fmt.Sprintf("unix://@relayd-test-%d-%d", os.Getpid(), abstracts.Add(1)))
}

// everyWay returns all of them.
func everyWay(t *testing.T) []way {
	t.Helper()
	var all []way
	for _, f := range append(families(t), family{"abstract", abstract}) {
		h := hop{f.any, ""}
		all = append(all, way{name: f.name, enter: h.enter, leave: h.leave, between: h})
	}
	h4, secure, shared, own := hop{tcp4.any, ""}, tlsHop(t), sharedHop(t), ownHop(t)
	return append(all,
		way{name: "tls", enter: secure.enter, leave: secure.leave, between: secure},
		way{name: "tls client", enter: secure.enter, leave: h4.leave, between: h4},
		way{name: "tls upstream", enter: h4.enter, leave: secure.leave, between: h4},
		way{name: "tls between", enter: h4.enter, leave: h4.leave, between: secure, two: true},
		way{name: "shared key", enter: h4.enter, leave: h4.leave, between: shared, two: true},
		way{name: "own keys", enter: h4.enter, leave: h4.leave, between: own, two: true},
		way{name: "own keys at the ends", enter: own.enter, leave: own.leave, between: h4},
		way{name: "targets", enter: h4.enter, leave: leaveSeveral, between: h4},
		way{name: "proxy", enter: enterNamed, leave: leaveNamed, between: h4, two: true, proxy: true},
		way{name: "exec client", enter: enterProgram, leave: h4.leave, between: h4, once: true},
		way{name: "exec upstream", enter: h4.enter, leave: leaveProgram, between: h4},
		way{name: "fd client", enter: enterDescriptor, leave: h4.leave, between: h4, once: true},
		way{name: "fd upstream", enter: h4.enter, leave: leaveDescriptor, between: h4, once: true},
	)
}

func tlsHop(t *testing.T) hop {
	cert, key := certificate(t)
	return hop{func(t *testing.T) socket.Address {
		return address(t, "tls://127.0.0.1:0?cert="+cert+"&key="+key)
	}, "ca=" + cert}
}

// newKey writes a new key, and what the other end is to have of it.
func newKey(t *testing.T, shared bool) (key, public string) {
	t.Helper()
	pair, err := socket.NewKey(shared)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, public = filepath.Join(dir, "key"), filepath.Join(dir, "public")
	if err := errors.Join(os.WriteFile(key, pair.File, 0o600), os.WriteFile(public, []byte(pair.Public+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return key, public
}

func sharedHop(t *testing.T) hop {
	key, _ := newKey(t, true)
	return hop{func(t *testing.T) socket.Address { return address(t, "tls://127.0.0.1:0?tunnel_key="+key) }, "tunnel_key=" + key}
}

func ownHop(t *testing.T) hop {
	ours, ourPublic := newKey(t, false)
	theirs, theirPublic := newKey(t, false)
	return hop{func(t *testing.T) socket.Address {
		return address(t, "tls://127.0.0.1:0?identity="+ours+"&peer="+theirPublic)
	}, "identity=" + theirs + "&peer=" + ourPublic}
}

func (h hop) enter(t *testing.T) (socket.Address, func(socket.Address) (net.Conn, error)) {
	return h.listen(t), func(at socket.Address) (net.Conn, error) { return dialEnd(t, h.to(at)) }
}

func (h hop) leave(t *testing.T) ([]socket.Address, func() (net.Conn, error)) {
	at, accept := listenEnd(t, h.listen(t))
	return []socket.Address{h.to(at)}, accept
}

// dialEnd dials as package net does, and TLS as package socket: a conn of
// crypto/tls is broken for good by a Write that its deadline ends, which package
// net would not have.
func dialEnd(t *testing.T, to socket.Address) (net.Conn, error) {
	if to.Kind != socket.TLS {
		n, addr := network(to)
		return net.DialTimeout(n, addr, patience)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	s, err := socket.Dial(ctx, to, socket.At{})
	if err != nil {
		return nil, err
	}
	return socket.NewConn(s)
}

// listenEnd is the other side of dialEnd. It returns the address with its port.
func listenEnd(t *testing.T, at socket.Address) (socket.Address, func() (net.Conn, error)) {
	t.Helper()
	if at.Kind == socket.TLS {
		l, err := socket.Listen(t.Context(), at, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Drop(context.Background()) })
		return l.Addr(), func() (net.Conn, error) { return acceptTLS(t, l) }
	}
	ln, err := net.Listen(network(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		at.Port = uint16(tcp.Port)
	}
	return at, func() (net.Conn, error) { return acceptSoon(ln) }
}

func acceptSoon(ln net.Listener) (net.Conn, error) {
	ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	return ln.Accept()
}

func acceptTLS(t *testing.T, l *socket.Listener) (net.Conn, error) {
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	defer context.AfterFunc(ctx, l.Stop)()
	in, err := l.Accept()
	if err != nil {
		return nil, err
	}
	s, err := in.Open(socket.At{})
	if err != nil {
		return nil, err
	}
	if _, err := s.Handshake(ctx); err != nil {
		return nil, err
	}
	return socket.NewConn(s)
}

// leaveSeveral has three targets, in turn, of which one is not there.
func leaveSeveral(t *testing.T) ([]socket.Address, func() (net.Conn, error)) {
	t.Helper()
	to := []socket.Address{closedPort(t)}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	conns := make(chan net.Conn, 1)
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		to = append(to, address(t, ln.Addr().String()))
		running.Go(func() {
			for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
				conns <- c
			}
		})
	}
	return to, func() (net.Conn, error) {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case c := <-conns:
			return c, nil
		case <-late.C:
			return nil, errors.New("no target is dialled")
		}
	}
}

// named is the PROXY header that the client comes with; the server gets it too,
// after it was one of version 2 between the relays.
const named = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n"

func enterNamed(t *testing.T) (socket.Address, func(socket.Address) (net.Conn, error)) {
	return tcp4.any(t), func(at socket.Address) (net.Conn, error) {
		c, err := dialEnd(t, at)
		if err == nil {
			_, err = io.WriteString(c, named)
		}
		return c, err
	}
}

func leaveNamed(t *testing.T) ([]socket.Address, func() (net.Conn, error)) {
	at, accept := listenEnd(t, tcp4.any(t))
	return []socket.Address{at}, func() (net.Conn, error) {
		c, err := accept()
		if err != nil {
			return nil, err
		}
		got := make([]byte, len(named))
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != named {
			return nil, fmt.Errorf("the server's header is %q, %v; want %q", got, err, named)
		}
		return c, c.SetReadDeadline(time.Time{})
	}
}

// bridge is a program that passes its input and output, which are one socket, on
// to a socket of ours, and the other end of that. Each direction ends by itself.
func bridge(t *testing.T) (socket.Address, func() (net.Conn, error)) {
	at, accept := listenEnd(t, unixAddress(t))
	query := url.Values{"arg": {"-t", "20", "FD:0,shut-down", "UNIX-CONNECT:" + at.Path}}.Encode()
	return address(t, "exec://"+program.Need(t, "socat")+"?"+query), accept
}

func enterProgram(t *testing.T) (socket.Address, func(socket.Address) (net.Conn, error)) {
	at, accept := bridge(t)
	return at, func(socket.Address) (net.Conn, error) { return accept() }
}

func leaveProgram(t *testing.T) ([]socket.Address, func() (net.Conn, error)) {
	at, accept := bridge(t)
	return []socket.Address{at}, accept
}

// descriptor is one end of a connection, as if this process had been started
// with it, and the other end.
func descriptor(t *testing.T) (socket.Address, net.Conn) {
	t.Helper()
	at, accept := listenEnd(t, tcp4.any(t))
	c, err := dialEnd(t, at)
	if err != nil {
		t.Fatal(err)
	}
	far, err := accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	n, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	c.Close()
	return address(t, fmt.Sprintf("fd://%d", n)), far
}

func enterDescriptor(t *testing.T) (socket.Address, func(socket.Address) (net.Conn, error)) {
	at, c := descriptor(t)
	return at, func(socket.Address) (net.Conn, error) { return c, nil }
}

func leaveDescriptor(t *testing.T) ([]socket.Address, func() (net.Conn, error)) {
	at, c := descriptor(t)
	return []socket.Address{at}, func() (net.Conn, error) { return c, nil }
}

// A span is a client's and a server's neighbour, and all relays from one to the
// other.
type span struct {
	relays []*relayd
	dial   func() (net.Conn, error)
	accept func() (net.Conn, error)
	conns  int  // so far
	silent bool // between relays a reset looks as an end does: of that only a decoder can tell
}

// open starts the relays of a way, with a chain and as c says else.
func (w way) open(t *testing.T, stage carried, c relay.Config) *span {
	t.Helper()
	to, accept := w.leave(t)
	at, dial := w.enter(t)
	near, far := stages(t, stage.stage), stages(t, stage.undo)
	if stage.undo == "" {
		far = near
	}
	if !w.two && stage.undo == "" {
		only := w.relay(t, c, at, to, near, near, relay.ProxyV1)
		return &span{relays: []*relayd{only}, dial: func() (net.Conn, error) { return dial(only.addr()) }, accept: accept}
	}
	second := w.relay(t, c, w.between.listen(t), to, far, near, relay.ProxyV1)
	first := w.relay(t, c, at, []socket.Address{w.between.to(second.addr())}, near, far, relay.ProxyV2TLV)
	entry := at
	if len(first.Addrs()) > 0 {
		entry = first.addr()
	}
	return &span{
		relays: []*relayd{first, second},
		dial:   func() (net.Conn, error) { return dial(entry) },
		accept: accept,
		silent: second.addr().Kind == socket.Unix,
	}
}

// relay starts one.
func (w way) relay(t *testing.T, c relay.Config, at socket.Address, to []socket.Address, up, down transform.Chain, v relay.ProxyVersion) *relayd {
	t.Helper()
	l := relay.Listener{Address: at, Route: "way"}
	r := relay.Route{Name: "way", Upstream: "way", Up: up, Down: down}
	if w.proxy {
		l.ProxyFrom, r.SendProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, v
	}
	u := upstream.Config{Name: "way"}
	for _, a := range to {
		u.Targets = append(u.Targets, upstream.Target{Address: a})
	}
	c.Listeners, c.Routes, c.Upstreams = []relay.Listener{l}, []relay.Route{r}, []upstream.Config{u}
	return startRelay(t, c)
}

// pair connects a client to a server, through all relays.
func (s *span) pair() (client, server net.Conn, err error) {
	if client, err = s.dial(); err != nil {
		return nil, nil, fmt.Errorf("the client's end: %w", err)
	}
	if server, err = s.accept(); err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("the server's end: %w", err)
	}
	s.conns++
	return client, server, nil
}

// ended waits until each relay knows the end of each conn, of which all came by
// what the client or the server did.
func (s *span) ended(t *testing.T) {
	t.Helper()
	for i, r := range s.relays {
		for _, end := range r.log.wait(t, "conn ended", s.conns) {
			reason, err := end.text("reason"), end.text("err")
			switch {
			case reason == "eof", reason == "reset-client", reason == "reset-upstream":
			case s.silent && reason == "stage-failed" && strings.Contains(err, "truncated stream"):
			default:
				t.Errorf("relay %d of %d: a conn ended by %s, by %s: %s", i+1, len(s.relays),
					reason, end.text("first_closer"), err)
			}
		}
	}
}
