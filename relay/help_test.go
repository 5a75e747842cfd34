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
	timer := time.NewTimer(testPatience)
	defer timer.Stop()
	for {
		select {
		case r := <-l:
			if r.Message == message {
				return attrs(r)
			}
		case <-timer.C:
			t.Fatalf("%v without a line %q", testPatience, message)
		}
	}
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
	c.Log = slog.New(l)
	if c.Listen == nil {
		c.Listen = []socket.Address{address(t, "127.0.0.1:0")}
	}
	c.LogRate = cmp.Or(c.LogRate, -1) // tests count lines
	inMode(&c)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cut(t, s) })
	return s, l
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

// An upstream is a listener whose connections the test takes by hand.
type upstream struct {
	ln   *net.TCPListener
	addr socket.Address
}

func listen(t *testing.T) upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return upstream{ln.(*net.TCPListener), address(t, ln.Addr().String())}
}

func (u upstream) accept(t *testing.T) *net.TCPConn {
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
