package service

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/program"
)

// HAProxy and relayd, side by side in front of the same servers, with the same
// clients: each from its own file of the pair in testdata.

// A proxy is one of the two.
type proxy struct {
	*proc
	tls, redis string // where it listens
}

// A pair is what the two have in common: their servers.
type pair struct {
	web1, web2, db1, db2 *server
	redis                []string
	dir                  string
}

func startPair(t *testing.T) *pair {
	dir, err := os.MkdirTemp("", "relayd") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &pair{dir: dir}
	p.web1, p.web2 = startServer(t, "web1", true), startServer(t, "web2", true)
	p.db1, p.db2 = startServer(t, "db1", false), startServer(t, "db2", false)
	p.redis = []string{startRedis(t, dir, "redis1"), startRedis(t, dir, "redis2"), startRedis(t, dir, "redis3", "--requirepass", "secret")}
	return p
}

// variables are what the files have in place of the addresses of production.
func (p *pair) variables(fd, unix string) []string {
	list := []string{"TLS=" + fd + "3", "REDIS=" + fd + "4"}
	for _, s := range []*server{p.web1, p.web2, p.db1, p.db2} {
		list = append(list, strings.ToUpper(s.name)+"="+s.addr)
	}
	for i, path := range p.redis {
		list = append(list, fmt.Sprintf("REDIS%d=%s%s", i+1, unix, path))
	}
	return list
}

func (p *pair) haproxy(t *testing.T) *proxy {
	t.Helper()
	forTLS, tlsAt := listen(t)
	forRedis, redisAt := listen(t)
	cmd := exec.Command(program.Need(t, "haproxy"), "-db", "-f", "testdata/haproxy.cfg")
	cmd.Env = append(os.Environ(), p.variables("fd@", "unix@")...)
	cmd.ExtraFiles = []*os.File{forTLS, forRedis}
	return &proxy{spawn(t, cmd), tlsAt, redisAt}
}

func (p *pair) relayd(t *testing.T) *proxy {
	t.Helper()
	forTLS, tlsAt := listen(t)
	forRedis, redisAt := listen(t)
	proc, _ := relayd(t, "testdata/relayd.yaml", p.variables("fd://", "unix://"), []*os.File{forTLS, forRedis})
	return &proxy{proc, tlsAt, redisAt}
}

// A guest is a client's connection, and who serves it.
type guest struct {
	tcp               *net.TCPConn
	tls               *tls.Conn
	in                *bufio.Reader
	server            string // by its certificate
	source, connected string // by the PROXY header that the server had
}

// errRefused is that a connection ended without an answer.
var errRefused = errors.New("refused")

// open connects from an address, and asks for a name.
func (p *proxy) open(t *testing.T, from, name string) (*guest, error) {
	t.Helper()
	c, err := dial(t, from, p.tls)
	switch {
	case errors.Is(err, syscall.ECONNRESET): // it has been in the kernel's backlog for a moment
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		t.Fatal(err)
	}
	g := &guest{tcp: c}
	g.tls = tls.Client(g.tcp, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	g.in = bufio.NewReader(g.tls)
	line, err := g.in.ReadString('\n')
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Errorf("%s for %s: no answer, and no end: %v", from, name, err)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	var said string
	if _, err := fmt.Sscan(line, &said, &g.source, &g.connected); err != nil {
		t.Fatalf("the server says %q", line)
	}
	if g.server = g.tls.ConnectionState().PeerCertificates[0].Subject.CommonName; g.server != said {
		t.Errorf("it says that it is %s, and its certificate is of %s", said, g.server)
	}
	return g, nil
}

// must is open for who has to be served.
func (p *proxy) must(t *testing.T, from, name string) *guest {
	t.Helper()
	g, err := p.open(t, from, name)
	if err != nil {
		t.Fatalf("%s for %s: %v", from, name, err)
	}
	return g
}

// leave ends a connection, and waits for the server's end of it.
func (g *guest) leave(t *testing.T) {
	t.Helper()
	g.tls.CloseWrite()
	if line, err := g.in.ReadString('\n'); line != "bye\n" {
		t.Errorf("%s says %q at the end: %v", g.server, line, err)
	}
	g.tcp.Close()
}

// visit is a short one. It returns who served it.
func (p *proxy) visit(t *testing.T, name string) string {
	t.Helper()
	g := p.must(t, "127.0.0.1", name)
	g.leave(t)
	return g.server
}

// TestBesideHAProxy asks both the same, at the same time.
func TestBesideHAProxy(t *testing.T) {
	program.Need(t, "haproxy")
	p := startPair(t)
	proxies := map[string]*proxy{"haproxy": p.haproxy(t), "relayd": p.relayd(t)}
	for _, is := range []struct {
		what string
		ask  func(t *testing.T, p *pair, x *proxy)
	}{
		{"names", askNames}, {"proxy header", askHeader}, {"balance", askBalance}, {"half-close", askHalfClose},
		{"limit of a source", askSourceLimit}, {"limit of a listener", askListenerLimit}, {"limit of a server", askServerLimit},
		{"silence", askSilence}, {"a server that is down", askDown}, {"resets", askResets},
		{"redis without the one that answers wrong", askRedis},
	} {
		t.Run(is.what, func(t *testing.T) {
			for name, x := range proxies {
				x.alive()
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					is.ask(t, p, x)
				})
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Run("a server that is up again", func(t *testing.T) {
		p.web2.up()
		output(t, exec.Command(program.Need(t, "redis-cli"), "-s", p.redis[2], "-a", "secret", "CONFIG", "SET", "requirepass", ""))
		for name, x := range proxies {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				until(t, "web2 has visitors again", func() bool { return x.visit(t, "www.example.com") == "web2" })
				until(t, "redis3 has visitors", func() bool { return x.askRedis(t) == "redis3" })
				x.spread(t, 16, map[string]int{"redis1": 8, "redis2": 4, "redis3": 4}, func() string { return x.askRedis(t) })
			})
		}
	})
}

// askNames wants the group that a name leads to, and that others lead nowhere.
func askNames(t *testing.T, _ *pair, x *proxy) {
	for name, group := range map[string]string{
		"www.example.com": "web", "example.com": "web", "WWW.Example.COM": "web",
		"a.db.example.com": "db", "b.a.db.example.com": "db",
		"db.example.com": "", "xdb.example.com": "", "www.example.com.test": "", "other.test": "",
		"127.0.0.1": "", // of which a client says nothing
	} {
		g, err := x.open(t, "127.0.0.1", name)
		switch {
		case group == "" && !errors.Is(err, errRefused):
			t.Errorf("%s: not refused but %v", name, err)
		case group != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case group != "":
			if strings.TrimRight(g.server, "12") != group {
				t.Errorf("%s leads to %s", name, g.server)
			}
			fmt.Fprintf(g.tls, "hello\n")
			if line, err := g.in.ReadString('\n'); line != "hello\n" {
				t.Errorf("%s sends %q back: %v", g.server, line, err)
			}
			g.leave(t)
		}
	}
	c := mustDial(t, "127.0.0.1", x.tls)
	fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n")
	if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what is no TLS is answered: %d bytes, %v", n, err)
	}
}

// askHeader wants the client's address in the header of one group, and no header
// for the other.
func askHeader(t *testing.T, _ *pair, x *proxy) {
	g := x.must(t, "127.0.1.9", "www.example.com")
	if here := g.tcp.LocalAddr().String(); g.source != here || g.connected != x.tls {
		t.Errorf("%s hears of %s, who has connected to %s; it was %s to %s", g.server, g.source, g.connected, here, x.tls)
	}
	g.leave(t)
	g = x.must(t, "127.0.1.9", "a.db.example.com")
	if g.source != "invalid" {
		t.Errorf("%s hears of %s", g.server, g.source)
	}
	g.leave(t)
}

// spread wants n visits to be shared as weights say, give or take one round.
func (x *proxy) spread(t *testing.T, n int, want map[string]int, visit func() string) {
	t.Helper()
	got := make(map[string]int)
	for range n {
		got[visit()]++
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if d := got[name] - want[name]; d < -2 || d > 2 {
			t.Errorf("%s has %d visits of %d, want %d: %v", name, got[name], n, want[name], got)
		}
	}
}

func askBalance(t *testing.T, _ *pair, x *proxy) {
	x.spread(t, 40, map[string]int{"web1": 30, "web2": 10}, func() string { return x.visit(t, "www.example.com") })
}

// askHalfClose ends its own direction, on the wire, and is answered all the same.
func askHalfClose(t *testing.T, _ *pair, x *proxy) {
	for _, name := range []string{"www.example.com", "a.db.example.com"} {
		g := x.must(t, "127.0.0.1", name)
		fmt.Fprintf(g.tls, "last words\n")
		g.tcp.CloseWrite()
		rest, err := io.ReadAll(g.in)
		if string(rest) != "last words\nbye\n" {
			t.Errorf("after a FIN %s says %q: %v", g.server, rest, err)
		}
	}
}

// askSourceLimit wants five conns of a source, and a place when one has ended.
func askSourceLimit(t *testing.T, _ *pair, x *proxy) {
	var guests []*guest
	for range 5 {
		guests = append(guests, x.must(t, "127.0.3.1", "www.example.com"))
	}
	if _, err := x.open(t, "127.0.3.1", "www.example.com"); !errors.Is(err, errRefused) {
		t.Errorf("a sixth conn: %v", err)
	}
	guests = append(guests, x.must(t, "127.0.3.2", "www.example.com")) // somebody else
	guests[0].leave(t)
	until(t, "there is room again", func() bool {
		g, err := x.open(t, "127.0.3.1", "www.example.com")
		if err == nil {
			guests[0] = g
		}
		return err == nil
	})
	for _, g := range guests {
		g.leave(t)
	}
}

// askListenerLimit wants twelve conns.
func askListenerLimit(t *testing.T, _ *pair, x *proxy) {
	var guests []*guest
	for i := range 12 {
		// Those before may not have ended there yet.
		until(t, "there is room", func() bool {
			g, err := x.open(t, fmt.Sprintf("127.0.4.%d", i+1), "www.example.com")
			if err == nil {
				guests = append(guests, g)
			}
			return err == nil
		})
	}
	for range 3 {
		if _, err := x.open(t, "127.0.5.1", "www.example.com"); !errors.Is(err, errRefused) {
			t.Errorf("a thirteenth conn: %v", err)
		}
	}
	guests[0].leave(t)
	until(t, "there is room again", func() bool {
		g, err := x.open(t, "127.0.5.1", "www.example.com")
		if err == nil {
			guests[0] = g
		}
		return err == nil
	})
	for _, g := range guests {
		g.leave(t)
	}
}

// askServerLimit wants two conns at each server, one that waits for its turn, and
// one that waits in vain.
func askServerLimit(t *testing.T, _ *pair, x *proxy) {
	var guests []*guest
	at := make(map[string]int)
	for i := range 4 {
		g := x.must(t, fmt.Sprintf("127.0.6.%d", i+1), "a.db.example.com")
		guests = append(guests, g)
		at[g.server]++
	}
	if at["db1"] != 2 || at["db2"] != 2 {
		t.Errorf("four conns are at %v", at)
	}
	began := time.Now()
	if _, err := x.open(t, "127.0.6.5", "a.db.example.com"); !errors.Is(err, errRefused) {
		t.Errorf("a fifth conn: %v", err)
	}
	if d := time.Since(began); d < 1500*time.Millisecond || d > 4*time.Second {
		t.Errorf("a fifth conn has waited %v, want 2s", d)
	}
	served := make(chan *guest)
	go wait(t, x, served)
	select {
	case g := <-served:
		t.Errorf("a fifth conn is served at once, by %s", g.server)
	case <-time.After(300 * time.Millisecond):
	}
	guests[2].leave(t)
	if g := <-served; g != nil {
		if g.server != guests[2].server {
			t.Errorf("a place at %s is free, and it is served by %s", guests[2].server, g.server)
		}
		guests[2] = g
	}
	for _, g := range guests {
		g.leave(t)
	}
}

// wait opens a conn while there may be no place.
func wait(t *testing.T, x *proxy, served chan<- *guest) {
	g, err := x.open(t, "127.0.6.5", "a.db.example.com")
	if err != nil {
		t.Errorf("a conn that waits: %v", err)
	}
	served <- g
}

// askSilence wants who says nothing to be refused after two seconds.
func askSilence(t *testing.T, _ *pair, x *proxy) {
	began := time.Now()
	c := mustDial(t, "127.0.0.1", x.tls)
	if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence is answered: %d bytes, %v", n, err)
	}
	if d := time.Since(began); d < 1900*time.Millisecond || d > 4*time.Second {
		t.Errorf("it took %v, want 2s", d)
	}
}

// askDown wants nobody to notice that a server is gone, from the first moment on.
func askDown(t *testing.T, p *pair, x *proxy) {
	p.web2.down()
	x.spread(t, 12, map[string]int{"web1": 12}, func() string { return x.visit(t, "www.example.com") })
}

// askResets resets from either side. Both proxies end the other side, but only
// relayd says how: HAProxy makes of a server's reset an end.
func askResets(t *testing.T, p *pair, x *proxy) {
	g := x.must(t, "127.0.0.1", "www.example.com")
	fmt.Fprintf(g.tls, "reset\n")
	n, err := g.in.Read(make([]byte, 1))
	if n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a reset of %s: %d bytes, %v", g.server, n, err)
	}
	g = x.must(t, "127.0.0.1", "www.example.com")
	g.tcp.SetLinger(0)
	g.tcp.Close()
	var end error
	until(t, "the server hears of it", func() bool {
		end = p.web1.endOf(g.source)
		return end != nil
	})
	t.Logf("a server's reset is %v for the client, a client's is %v for the server", err, end)
	if x.name() == "relayd" && !(errors.Is(err, syscall.ECONNRESET) && errors.Is(end, syscall.ECONNRESET)) {
		t.Error("it is no reset")
	}
}

func (p *proxy) name() string { return filepath.Base(p.cmd.Path) }

// askRedis wants visits to those that pass their check only.
func askRedis(t *testing.T, _ *pair, x *proxy) {
	until(t, "the check has failed", func() bool {
		for range 8 {
			if x.askRedis(t) == "redis3" {
				return false
			}
		}
		return true
	})
	x.spread(t, 18, map[string]int{"redis1": 12, "redis2": 6, "redis3": 0}, func() string { return x.askRedis(t) })
}

// askRedis asks a server for its name.
func (p *proxy) askRedis(t *testing.T) string {
	t.Helper()
	c := mustDial(t, "127.0.0.1", p.redis)
	fmt.Fprintf(c, "CONFIG GET unixsocket\r\n")
	c.CloseWrite()
	answer, err := io.ReadAll(c)
	c.Close()
	switch {
	case err != nil:
		t.Fatalf("a server says %q: %v", answer, err)
	case strings.Contains(string(answer), "NOAUTH"):
		return "redis3"
	}
	return filepath.Base(strings.TrimSpace(string(answer)))
}
