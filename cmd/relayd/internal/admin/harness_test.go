package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"relayd/cmd/relayd/internal/metrics"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds what should take no time.
const patience = 20 * time.Second

func address(t testing.TB, s string) socket.Address {
	t.Helper()
	a, err := socket.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A rig is a relay in front of an echo server of TCP, and its admin API.
type rig struct {
	relay  *relay.Server
	api    *Server
	drain  *fakeDrainer
	client *Client
}

// startRelay starts a relay that ends with the test.
func startRelay(t testing.TB, c relay.Config) *relay.Server {
	t.Helper()
	if c.Listen == nil {
		c.Listen = []socket.Address{address(t, "127.0.0.1:0")}
	}
	c.Log = slog.New(slog.DiscardHandler)
	s, err := relay.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, stop := context.WithCancel(context.Background())
		stop()
		if _, err := s.Drain(now); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts a rig, whose API is served at a Unix socket and at more places.
func start(t testing.TB, more ...Listen) *rig {
	t.Helper()
	echo := startRelay(t, relay.Config{To: address(t, "echo:")})
	r := &rig{relay: startRelay(t, relay.Config{To: echo.Addrs()[0]}), drain: newFakeDrainer()}
	path := filepath.Join(t.TempDir(), "admin.sock")
	api, err := New(t.Context(), append([]Listen{{Address: address(t, path)}}, more...))
	if err != nil {
		t.Fatal(err)
	}
	r.api = api
	r.api.headerTime, r.api.readTime, r.api.writeTime = time.Second, time.Second, time.Second
	r.api.Serve(Config{Relay: r.relay, Drainer: r.drain, Metrics: metrics.Handler(r.relay, nil, nil), Reload: reloadNothing, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(r.api.Close)
	r.client = client(t, api.Addrs()[0], "")
	return r
}

func client(t testing.TB, a socket.Address, token string) *Client {
	t.Helper()
	c, err := NewClient(a, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dial opens a conn through the relay, which has echoed by then.
func (r *rig) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", r.relay.Addrs()[0].String()[len("tcp://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// one opens a conn, which is the only one, and returns what the API says of it.
func (r *rig) one(t testing.TB) (*net.TCPConn, Conn) {
	t.Helper()
	c := r.dial(t)
	for {
		list, err := r.client.Conns(t.Context(), nil)
		if err != nil || len(list.Conns) != 1 {
			t.Fatalf("%+v, %v; want one conn", list, err)
		}
		if list.Conns[0].Down.Out > 0 { // it is counted after the client may have it
			return c, list.Conns[0]
		}
	}
}

// do asks as curl does.
func (r *rig) do(t testing.TB, method, path, body string) (status int, text string) {
	t.Helper()
	answer := r.ask(t, method, path, body, nil)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func (r *rig) ask(t testing.TB, method, path, body string, header http.Header) *http.Response {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, r.client.base+path, reader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		q.Header[name] = values
	}
	if body != "" && q.Header.Get("Content-Type") == "" {
		q.Header.Set("Content-Type", "application/json")
	}
	answer, err := r.client.http.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// A fakeDrainer is one whose progress the test makes.
type fakeDrainer struct {
	mu              sync.Mutex
	p               Drain
	timeout, spread *time.Duration
	over            chan struct{}
}

func newFakeDrainer() *fakeDrainer { return &fakeDrainer{over: make(chan struct{})} }

func (d *fakeDrainer) Drain(timeout, spread *time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.p.Draining {
		return false
	}
	d.p.Draining, d.timeout, d.spread = true, timeout, spread
	return true
}

func (d *fakeDrainer) Progress() Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.p
}

func (d *fakeDrainer) Over() <-chan struct{} { return d.over }

func (d *fakeDrainer) set(p Drain) {
	d.mu.Lock()
	d.p = p
	d.mu.Unlock()
	if p.Over {
		close(d.over)
	}
}

// reloadNothing stands for a configuration that says what it did.
func reloadNothing(context.Context, bool) (Reload, error) {
	return ReloadOf("relayd.yaml", false, &relay.Change{}), nil
}
