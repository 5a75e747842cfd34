package relay

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/transform"
)

// testPatience bounds every wait of these tests: only what hangs waits it out.
const testPatience = 20 * time.Second

// lines is a log: its records, in a channel with room for what a test makes.
type lines chan slog.Record

func newLines() lines { return make(lines, 10000) }

func (l lines) Enabled(context.Context, slog.Level) bool { return true }

// Handle sends the record.
func (l lines) Handle(_ context.Context, r slog.Record) error {
	select {
	case l <- r:
		return nil
	default:
		panic("more lines than any test should make")
	}
}

func (l lines) WithAttrs([]slog.Attr) slog.Handler { panic("attributes are at the line") }
func (l lines) WithGroup(string) slog.Handler      { panic("there are no groups") }

// next returns the attributes of the next record with a message. Others before
// it are thrown away.
func (l lines) next(t *testing.T, message string) map[string]slog.Value {
	t.Helper()
	return attrs(l.record(t, message))
}

// record is next for the whole record.
func (l lines) record(t *testing.T, message string) slog.Record {
	t.Helper()
	timer := time.NewTimer(testPatience)
	defer timer.Stop()
	for {
		select {
		case r := <-l:
			if r.Message == message {
				return r
			}
		case <-timer.C:
			t.Fatalf("%v without a line %q", testPatience, message)
		}
	}
}

// gather waits for n records with a message and m with another, in any order.
func (l lines) gather(t *testing.T, message string, n int, other string, m int) map[string][]map[string]slog.Value {
	t.Helper()
	timer := time.NewTimer(testPatience)
	defer timer.Stop()
	seen := make(map[string][]map[string]slog.Value)
	for len(seen[message]) < n || len(seen[other]) < m {
		select {
		case r := <-l:
			seen[r.Message] = append(seen[r.Message], attrs(r))
		case <-timer.C:
			t.Fatalf("after %v there is only %v", testPatience, seen)
		}
	}
	return seen
}

func attrs(r slog.Record) map[string]slog.Value {
	m := make(map[string]slog.Value)
	r.Attrs(func(a slog.Attr) bool {
		m[a.Key] = a.Value
		return true
	})
	return m
}

// wantEnd waits for the next conn's end, and returns its line.
func (l lines) wantEnd(t *testing.T, r Reason, first Side) map[string]slog.Value {
	t.Helper()
	end := l.next(t, "conn ended")
	if got := end["reason"].String(); got != r.String() {
		t.Errorf("the conn ended with %s (%v), want %s", got, end["err"], r)
	}
	if got := end["first_closer"].String(); got != first.String() {
		t.Errorf("the first closer is %s, want %s", got, first)
	}
	return end
}

// wantBytes compares the counts of an end.
func wantBytes(t *testing.T, end map[string]slog.Value, up, down int64) {
	t.Helper()
	if u, d := end["up_bytes"].Int64(), end["down_bytes"].Int64(); u != up || d != down {
		t.Errorf("%d bytes up and %d down, want %d and %d", u, d, up, down)
	}
}

func address(t *testing.T, s string) socket.Address {
	t.Helper()
	a, err := socket.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func chain(t *testing.T, s string) transform.Chain {
	t.Helper()
	c, err := transform.ParseChain(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts a server on loopback that logs to the lines returned, and cuts
// at the test's end what is left of it.
func start(t *testing.T, c Config) (*Server, lines) {
	t.Helper()
	l := newLines()
	return startLogged(t, c, l), l
}

// startLogged is start that logs to a handler.
func startLogged(t *testing.T, c Config, l slog.Handler) *Server {
	t.Helper()
	c.Log = slog.New(l)
	if c.Listen == nil && c.Listeners == nil {
		c.Listen = []socket.Address{address(t, "127.0.0.1:0")}
	}
	c.LogRate = cmp.Or(c.LogRate, -1) // tests count lines
	inMode(&c)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cut(t, s) })
	return s
}

// inMode makes the tests run as the environment says: RELAYD_TEST_LOOP=off on
// goroutines, =moving with conns that move between the two all the time.
func inMode(c *Config) {
	switch os.Getenv("RELAYD_TEST_LOOP") {
	case "off":
		c.EventLoops = -1
	case "moving":
		c.MoveEvery = 10 * time.Millisecond
	}
}

// cut drains s without patience, and returns how many conns that has cut.
func cut(t *testing.T, s *Server) int {
	t.Helper()
	now, stop := context.WithCancel(context.Background())
	stop()
	r, err := s.Drain(now)
	if err != nil {
		t.Errorf("drain: %v", err)
	}
	return r.Cut
}

// dial connects to a TCP address, with a deadline for all that follows.
func dial(t *testing.T, a socket.Address) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), testPatience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testPatience))
	return c.(*net.TCPConn)
}

// A backend is a listener whose connections the test takes by hand.
type backend struct {
	ln   *net.TCPListener
	addr socket.Address
}

func listen(t *testing.T) backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return backend{ln.(*net.TCPListener), address(t, ln.Addr().String())}
}

func (u backend) accept(t *testing.T) *net.TCPConn {
	t.Helper()
	u.ln.SetDeadline(time.Now().Add(testPatience))
	c, err := u.ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testPatience))
	return c
}

func send(t *testing.T, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// wantText reads as many bytes as text has, which must be text.
func wantText(t *testing.T, c io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v; want %q", got[:n], err, text)
	}
}

// wantEOF wants a clean end now.
func wantEOF(t *testing.T, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("got %d bytes, %v; want a clean end", n, err)
	}
}

// wantReset wants a reset now.
func wantReset(t *testing.T, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes, %v; want a reset", n, err)
	}
}

func finish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// barePath returns a path of a server that listens nowhere: it leads nowhere.
func barePath(s *Server, t Timeouts) *path {
	a := &acceptor{s: s}
	e := &entry{Listener: Listener{Name: "here"}, a: a}
	a.entry.Store(e)
	return e.along(s.newRoute(Route{Name: DefaultName, Timeouts: t.complete()}, nil))
}

func bareConn(p *path) *conn {
	c := &conn{}
	c.path.Store(p)
	return c
}

// to returns an upstream of targets.
func to(name string, targets ...socket.Address) upstream.Config {
	c := upstream.Config{Name: name}
	for _, a := range targets {
		c.Targets = append(c.Targets, upstream.Target{Address: a})
	}
	return c
}

// echoing returns a configuration with a listener, a route and an upstream, all of
// that name, which echoes.
func echoing(t *testing.T, names ...string) (c Config) {
	t.Helper()
	for _, name := range names {
		c.Listeners = append(c.Listeners, Listener{Name: name, Address: address(t, "127.0.0.1:0"), Route: name})
		c.Routes = append(c.Routes, Route{Name: name, Upstream: name})
		c.Upstreams = append(c.Upstreams, to(name, address(t, "echo:")))
	}
	return c
}

// reload reloads in the mode of the tests, with the policy that the server has.
func reload(t *testing.T, s *Server, c Config) Change {
	t.Helper()
	change, err := tryReload(t, s, c)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func tryReload(t *testing.T, s *Server, c Config) (Change, error) {
	t.Helper()
	c.LogRate = cmp.Or(c.LogRate, -1)
	c.Policy = s.Policy
	inMode(&c)
	return s.Reload(t.Context(), c)
}

// at returns the address of a listener.
func at(t *testing.T, s *Server, name string) socket.Address {
	t.Helper()
	for _, l := range s.Listeners() {
		if l.Name == name {
			return l.Address
		}
	}
	t.Fatalf("there is no listener %q", name)
	panic("unreachable")
}

// talk has a conn echo something.
func talk(t *testing.T, s *Server, name string) *net.TCPConn {
	t.Helper()
	c := dial(t, at(t, s, name))
	send(t, c, "hello")
	wantText(t, c, "hello")
	return c
}

func dialUnix(t *testing.T, a socket.Address) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testPatience))
	return c
}

// wantRefused connects and wants a reset, which may come before Dial has looked.
func wantRefused(t *testing.T, a socket.Address) {
	t.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), testPatience)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(testPatience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// eachPolicy runs f under each drop policy.
func eachPolicy(t *testing.T, f func(t *testing.T, p lifetime.Policy)) {
	for _, p := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block} {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}
