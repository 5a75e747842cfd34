package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay/preface"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// linePreface is a preface of one line: CLIENT SNI ALPN…, with - for nothing.
func linePreface(ctx context.Context, s *socket.Socket, _ string, want expected) (p preface.Result, err error) {
	r, err := s.Receive()
	if err != nil {
		return p, err
	}
	stop := context.AfterFunc(ctx, func() { s.Resource().BeginShutdown(context.Cause(ctx)) })
	defer stop()
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); line = append(line, b...) {
		if _, err := r.Read(b); err != nil {
			return p, err
		}
	}
	words := strings.Fields(string(line))
	switch {
	case len(words) < 2:
		return p, &preface.Error{Part: preface.Proxy, Why: "the line is none"}
	case words[0] == "tls":
		return p, handshakeError{errors.New("no cipher in common")}
	}
	for i := range words {
		words[i] = strings.TrimPrefix(words[i], "-")
	}
	p.Header = &preface.Header{Local: true}
	if len(want.proxyFrom) > 0 && words[0] != "" {
		p.Header = &preface.Header{Source: netip.MustParseAddrPort(words[0]), Destination: netip.MustParseAddrPort("10.0.0.1:80")}
	}
	if want.hello {
		p.Hello = &preface.Hello{ServerName: strings.ToLower(strings.TrimSuffix(words[1], ".")), ALPN: words[2:]}
	}
	return p, nil
}

func lineHeader(v ProxyVersion, of introduced) []byte {
	return fmt.Appendf(nil, "v%d %s -> %s\n", v, of.client, of.to)
}

// opening returns a configuration with a listener that expects a preface.
func opening(t *testing.T) (c Config, one, two backend) {
	t.Helper()
	one, two = listen(t), listen(t)
	c = Config{
		Listeners: []Listener{{
			Name: "a", Address: address(t, "127.0.0.1:0"), Route: "one",
			ProxyFrom: networks("127.0.0.0/8"),
			Match: []Match{
				{SNI: []string{"two.example.com", "*.two.example.com"}, Route: "two"},
				{ALPN: []string{"h2", "two"}, Route: "two"},
			},
		}},
		Routes: []Route{
			{Name: "one", Upstream: "one"},
			{Name: "two", Upstream: "two", Up: transform.Chain{twice}, Timeouts: Timeouts{MaxLifetime: time.Hour}},
		},
		Upstreams: []upstream.Config{to("one", one.addr), to("two", two.addr)},
		seams:     seams{linePreface, lineHeader},
	}
	return c, one, two
}

// What a preface says is where the conn goes, through that route's stages, and who
// the client is.
func TestPreface(t *testing.T) { eachPolicy(t, testPreface) }

func testPreface(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	c, one, two := opening(t)
	c.Policy = policy
	s, log := start(t, c)
	for _, tt := range []struct {
		line, client, route, want string
		up                        backend
	}{
		{"10.9.9.9:1 -\n", "10.9.9.9:1", "one", "x", one},
		{"10.9.9.9:2 two.example.com\n", "10.9.9.9:2", "two", "xx", two},
		{"[fd00::1]:3 A.Two.Example.Com.\n", "[fd00::1]:3", "two", "xx", two},
		{"10.9.9.9:4 other.example.com\n", "10.9.9.9:4", "one", "x", one},
		{"10.9.9.9:5 other http/1.1 h2\n", "10.9.9.9:5", "two", "xx", two},
		{"- other\n", "", "one", "x", one},
	} {
		d := dial(t, s.Addrs()[0])
		if tt.client == "" {
			tt.client = d.LocalAddr().String()
		}
		send(t, d, tt.line+"x")
		up := tt.up.accept(t)
		wantText(t, up, tt.want)
		eventually(t, "it is the only one", func() bool { return len(s.Conns()) == 1 }) // the one before may be on its way out
		if i := s.Conns()[0]; i.Client != tt.client || i.Route != tt.route || i.Upstream != tt.up.addr.String() {
			t.Errorf("%q: the conn is %+v", tt.line, i)
		}
		send(t, up, "answer")
		wantText(t, d, "answer")
		finish(t, d)
		wantEOF(t, up)
		finish(t, up)
		wantEOF(t, d)
		if end := log.wantEnd(t, EOF, Client); end["client"].String() != tt.client || end["route"].String() != tt.route {
			t.Errorf("%q: the line is %v", tt.line, end)
		}
	}
}

// Without a preface to come nobody waits for the client, and who is not trusted to
// name another client is not asked.
func TestPrefaceOnlyWhereExpected(t *testing.T) {
	leak.Check(t)
	c, one, _ := opening(t)
	c.Listeners[0].ProxyFrom, c.Listeners[0].Match = networks("10.0.0.0/8"), nil
	s, _ := start(t, c)
	d := dial(t, s.Addrs()[0])
	up := one.accept(t) // the client has sent nothing
	send(t, up, "220 hello")
	wantText(t, d, "220 hello")
}

// Each way in which a preface can fail has its reason.
func TestPrefaceFails(t *testing.T) { eachPolicy(t, testPrefaceFails) }

func testPrefaceFails(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	c, _, _ := opening(t)
	c.Policy = policy
	l := &c.Listeners[0]
	l.Route, l.Deny, l.MaxPerSource, l.PrefaceTimeout = "", networks("10.1.0.0/16", "127.0.0.0/8"), 1, 100*time.Millisecond
	s, log := start(t, c)
	d := dial(t, s.Addrs()[0])
	send(t, d, "10.9.9.9:1 two.example.com\n") // the only one of its source
	eventually(t, "it relays", func() bool { return s.Live() == 1 && s.Conns()[0].State == Open })
	for line, want := range map[string]struct {
		reason Reason
		first  Side
	}{
		"":                             {PrefaceTimeout, Client},
		"nonsense\n":                   {BadPreface, Client},
		"tls -\n":                      {TLSFailed, Client},
		"10.9.9.8:1 one.example.com\n": {NoRoute, Us},
		"10.1.2.3:1 two.example.com\n": {Denied, Us},
		"10.9.9.9:2 two.example.com\n": {MaxPerSource, Us},
	} {
		d := dial(t, s.Addrs()[0])
		send(t, d, line)
		if want.reason == TLSFailed { // an alert is on its way
			d.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := d.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%q: %d, %v; want an end", line, n, err)
			}
			d.Close()
		} else {
			wantReset(t, d)
		}
		log.wantEnd(t, want.reason, want.first)
	}
	for reason, n := range s.Stats().Refused {
		if n > 0 {
			t.Errorf("%d were refused: %s; they were conns", n, reason)
		}
	}
	cut(t, s)
	if a := s.acceptorList()[0]; s.live.Load() != 0 || len(a.sources.live) > 0 {
		t.Errorf("at the end there are %d, %v", s.live.Load(), a.sources.live)
	}
}

// While the preface is read the conn can be seen and killed, but its stages are not
// known; a drain cuts it.
func TestOpening(t *testing.T) {
	leak.Check(t)
	c, _, _ := opening(t)
	c.Listeners[0].PrefaceTimeout = -1
	s, log := start(t, c)
	d := dial(t, s.Addrs()[0])
	eventually(t, "it is there", func() bool { return s.Live() == 1 })
	i := s.Conns()[0]
	if i.State != Opening || i.Route != "" || i.Pool != "" || i.Upstream != "" || i.Listener != "a" {
		t.Errorf("the conn is %+v", i)
	}
	if _, ok := s.Conn(i.ID); !ok {
		t.Error("it cannot be inspected")
	}
	if err := s.SetChains(t.Context(), i.ID, transform.Chain{twice}, nil); !errors.Is(err, ErrOpening) {
		t.Errorf("its stages can be changed: %v", err)
	}
	if _, err := s.Tap(i.ID, TapOptions{}); !errors.Is(err, ErrOpening) {
		t.Errorf("it can be watched: %v", err)
	}
	if r, err := s.Kill(t.Context(), i.ID); err != nil || r.Upstream != nil {
		t.Errorf("kill: %+v, %v", r, err)
	}
	wantReset(t, d)
	log.wantEnd(t, Killed, Us)
	d = dial(t, s.Addrs()[0])
	eventually(t, "the next is there", func() bool { return s.Live() == 1 })
	if n := cut(t, s); n != 1 {
		t.Errorf("%d were cut", n)
	}
	wantReset(t, d)
	log.wantEnd(t, Drained, Us)
}

// A conn is seen before its client has a socket: it can be inspected, finished and
// killed then as well, and the accept that goes on finds it dead.
func TestNotYetOpen(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{Listen: []socket.Address{address(t, "127.0.0.1:0")}, To: address(t, "echo:")})
	for _, end := range []func(context.Context, string) (KillReport, error){s.Kill, s.Finish} {
		v := visit{from: "192.0.2.1:1"}
		if why := s.acceptorList()[0].admit(&v); why != admitted {
			t.Fatalf("refused: %v", why)
		}
		c, err := s.newConn(&v)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := s.Conn(c.id()); !ok || d.ClientSocket != nil || d.UpstreamSocket != nil || len(s.Conns()) != 1 {
			t.Errorf("it is %+v, %v", d, ok)
		}
		if r, err := end(t.Context(), c.id()); err != nil || r.Conn.State != lifetime.Released || r.Client != nil || r.Upstream != nil {
			t.Errorf("its end: %+v, %v", r, err)
		}
		c.openFailed(lifetime.ErrDropped)
		log.wantEnd(t, Killed, Us)
	}
}

// A conn that is opening goes by the routes that there are when it is done, also
// if its listener has gone.
func TestReloadWhileOpening(t *testing.T) {
	leak.Check(t)
	c, one, two := opening(t)
	s, log := start(t, c)
	stays, lost := dial(t, s.Addrs()[0]), dial(t, s.Addrs()[0])
	eventually(t, "they are there", func() bool { return s.Live() == 2 })
	c.Listeners = []Listener{{Name: "b", Address: address(t, "127.0.0.1:0"), Route: "two"}}
	c.Routes = c.Routes[1:]
	c.Upstreams = []upstream.Config{to("two", one.addr)}
	reload(t, s, c)
	send(t, stays, "10.9.9.9:1 two.example.com\nx")
	wantText(t, one.accept(t), "xx")
	send(t, lost, "10.9.9.9:1 one.example.com\n")
	wantReset(t, lost)
	log.wantEnd(t, Removed, Us)
	two.ln.Close()
}

// The upstream is told the client before the client's first byte, also if it speaks
// first itself, on loops and on goroutines.
func TestSendProxy(t *testing.T) {
	leak.Check(t)
	for _, up := range []transform.Chain{nil, {twice}} {
		for _, version := range []ProxyVersion{ProxyV1, ProxyV2} {
			c, one, _ := opening(t)
			c.Listeners[0].ProxyFrom, c.Listeners[0].Match = nil, nil
			c.Routes[0].SendProxy, c.Routes[0].Up = version, up
			s, log := start(t, c)
			d := dial(t, s.Addrs()[0])
			b := one.accept(t)
			wantText(t, b, string(lineHeader(version, introduced{client: d.LocalAddr().String(), to: d.RemoteAddr().String()})))
			send(t, d, "x")
			wantText(t, b, strings.Repeat("x", 1+len(up)))
			send(t, b, "answer")
			wantText(t, d, "answer")
			finish(t, d)
			wantEOF(t, b)
			finish(t, b)
			wantEOF(t, d)
			wantBytes(t, log.wantEnd(t, EOF, Client), 1, 6)
		}
	}
}

// A loop relays what was opened on a goroutine.
func TestOpenedGoesToALoop(t *testing.T) {
	c, one, _ := opening(t)
	s, _ := start(t, c)
	if s.loops == nil || s.restless != nil {
		return // not in this mode
	}
	d := dial(t, s.Addrs()[0])
	send(t, d, "10.9.9.9:1 -\n")
	one.accept(t)
	eventually(t, "it is on a loop", func() bool { return s.Conns()[0].Loop })
	io.WriteString(d, "x")
}

// And so it is with real prefaces: of a proxy that names its client, whose TLS is
// for a server behind us, which gets a header, too.
func TestRealPreface(t *testing.T) {
	leak.Check(t)
	for version, want := range map[ProxyVersion]string{
		ProxyV1: "PROXY TCP4 10.9.9.9 10.0.0.1 1234 443\r\n",
		ProxyV2: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x09\x09\x09\x0a\x00\x00\x01\x04\xd2\x01\xbb",
	} {
		c, one, two := opening(t)
		c.seams = seams{}
		c.Routes[1].Up, c.Routes[1].SendProxy = nil, version
		s, log := start(t, c)
		d := dial(t, s.Addrs()[0])
		send(t, d, "PROXY TCP4 10.9.9.9 10.0.0.1 1234 443\r\n")
		go tls.Client(d, &tls.Config{ServerName: "www.two.example.com"}).Handshake()
		b := two.accept(t)
		wantText(t, b, want+"\x16\x03\x01")
		eventually(t, "it is the only one", func() bool { return len(s.Conns()) == 1 }) // the one before may be on its way out
		if i := s.Conns()[0]; i.Client != "10.9.9.9:1234" || i.Route != "two" {
			t.Errorf("the conn is %+v", i)
		}
		reset(b)
		log.wantEnd(t, ResetUpstream, Upstream)
		// What is not TLS has the route of the rest; what is no header has none.
		d = dial(t, s.Addrs()[0])
		send(t, d, "PROXY UNKNOWN\r\nhello")
		b = one.accept(t)
		wantText(t, b, "hello")
		reset(d)
		log.wantEnd(t, ResetClient, Client)
		d = dial(t, s.Addrs()[0])
		send(t, d, "GET / HTTP/1.1\r\n")
		wantReset(t, d)
		log.wantEnd(t, BadPreface, Client)
		d = dial(t, s.Addrs()[0])
		send(t, d, "PROX")
		reset(d)
		log.wantEnd(t, ResetClient, Client)
		d = dial(t, s.Addrs()[0])
		send(t, d, "PROX")
		finish(t, d) // which is no reset
		wantReset(t, d)
		log.wantEnd(t, BadPreface, Client)
	}
}

// Who connects and goes again, as health checks do, before a preface or between
// two parts of it, has a reason of his own, which no log has at its usual level;
// and he is not reset, if he waits for our end.
func TestUnspokenPreface(t *testing.T) { eachPolicy(t, testUnspokenPreface) }

func testUnspokenPreface(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	const header = "PROXY TCP4 10.9.9.9 10.0.0.1 1234 443\r\n"
	for name, tt := range map[string]struct {
		tls, proxy, match bool
		said              string
	}{
		"PROXY":             {proxy: true},
		"SNI":               {match: true},
		"SNI after PROXY":   {proxy: true, match: true, said: header},
		"TLS":               {tls: true},
		"TLS and PROXY":     {tls: true, proxy: true},
		"TLS after PROXY":   {tls: true, proxy: true, said: header},
		"TLS, after LOCAL":  {tls: true, proxy: true, said: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"},
		"TLS, with matches": {tls: true, match: true},
	} {
		c, _, _ := opening(t)
		if tt.tls {
			c, _, _ = terminating(t, "")
		}
		c.Policy, c.seams = policy, seams{}
		l := &c.Listeners[0]
		l.PrefaceTimeout, l.ProxyFrom = -1, nil
		if tt.proxy {
			l.ProxyFrom = networks("127.0.0.0/8")
		}
		if !tt.match {
			l.Match = nil
		}
		s, log := start(t, c)
		for how, end := range map[string]func(*net.TCPConn){
			"FIN": func(d *net.TCPConn) { d.Close() },
			"half-close": func(d *net.TCPConn) {
				finish(t, d)
				wantEOF(t, d)
			},
			"reset": func(d *net.TCPConn) {
				eventually(t, "it is there", func() bool { return s.Live() == 1 })
				reset(d)
			},
		} {
			d := dial(t, s.Addrs()[0])
			send(t, d, tt.said)
			end(d)
			r := log.record(t, "conn ended")
			if a := attrs(r); a["reason"].String() != NoPreface.String() || a["first_closer"].String() != Client.String() || r.Level != slog.LevelDebug {
				t.Errorf("%s, %s: the line is at %v: %v", name, how, r.Level, a)
			}
		}
		if got := s.Stats().Ended[End{NoPreface, Client}]; got != 3 {
			t.Errorf("%s: %d are counted", name, got)
		}
	}
}
