package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

func TestStartRefuses(t *testing.T) {
	leak.Check(t)
	taken := listen(t).addr
	any4 := address(t, "127.0.0.1:0")
	tests := []struct {
		name   string
		config Config
		want   func(error) bool
	}{
		{"no listener", Config{To: address(t, "echo:")}, func(err error) bool {
			return errors.Is(err, errNoListener)
		}},
		{"no upstream", Config{Listen: []socket.Address{any4}}, isAddressError},
		{"upstream that cannot be dialled", Config{Listen: []socket.Address{any4}, To: address(t, ":80")}, isAddressError},
		{"listener of a kind that has none", Config{Listen: []socket.Address{address(t, "echo:")}, To: address(t, "echo:")}, isAddressError},
		{"address that is taken", Config{Listen: []socket.Address{any4, taken}, To: address(t, "echo:")}, func(err error) bool {
			var e *socket.Error
			return errors.As(err, &e) && e.Op == "listen" && e.Local == taken.String() && errors.Is(err, syscall.EADDRINUSE)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Start(t.Context(), tt.config)
			if s != nil || !tt.want(err) {
				t.Errorf("Start: %v, %v", s, err)
			}
			if list := lifetime.Snapshot(nil); len(list) > 0 {
				t.Errorf("it has left %v", list)
			}
		})
	}
}

func isAddressError(err error) bool {
	var e *socket.AddressError
	return errors.As(err, &e)
}

// All addresses are listened on, and the ports that were open are told.
func TestSeveralListeners(t *testing.T) {
	leak.Check(t)
	any4 := address(t, "127.0.0.1:0")
	s, log := start(t, Config{Listen: []socket.Address{any4, any4, any4}, To: address(t, "echo:")})
	var ports []uint16
	for _, a := range s.Addrs() {
		ports = append(ports, a.Port)
		c := dial(t, a)
		send(t, c, "hello")
		wantText(t, c, "hello")
		finish(t, c)
		wantEOF(t, c)
		if got := log.wantEnd(t, EOF, Client)["listener"].String(); got != a.String() {
			t.Errorf("the log says that it came in at %s, want %v", got, a)
		}
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 3 || ports[0] == 0 {
		t.Errorf("the ports are %v", ports)
	}
}

// What a configuration leaves out has a default, and negative is off.
func TestTimeoutDefaults(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 10 * time.Second, -1: -1, time.Minute: time.Minute} {
		s, _ := start(t, Config{To: address(t, "echo:"), Timeouts: Timeouts{Connect: given}})
		if got := s.setup.Load().routes[DefaultName].Timeouts.Connect; got != want {
			t.Errorf("Connect %v becomes %v, want %v", given, got, want)
		}
	}
}

// A server without a log relays.
func TestNoLog(t *testing.T) {
	leak.Check(t)
	s, err := Start(t.Context(), Config{Listen: []socket.Address{address(t, "127.0.0.1:0")}, To: address(t, "echo:")})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Addrs()[0])
	send(t, c, "hello")
	wantText(t, c, "hello")
	if n := cut(t, s); n != 1 {
		t.Errorf("%d conns were cut, want the one", n)
	}
	wantReset(t, c)
}

// The steps of a drain, as its comment numbers them.
func TestDrain(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: address(t, "echo:")})
	ends, stays := dial(t, s.Addrs()[0]), dial(t, s.Addrs()[0])
	for _, c := range []*net.TCPConn{ends, stays} {
		send(t, c, "hello")
		wantText(t, c, "hello")
	}
	ctx, deadline := context.WithCancel(t.Context())
	defer deadline()
	done := drain(ctx, s)

	// 1 and 2: nobody listens any more.
	<-s.acceptorList()[0].l.Resource().Done()
	if c, err := net.Dial("tcp", stays.RemoteAddr().String()); err == nil {
		c.Close()
		t.Error("a new connection was taken")
	}
	// 3: a conn comes to its own end.
	send(t, ends, "and goodbye")
	wantText(t, ends, "and goodbye")
	finish(t, ends)
	wantEOF(t, ends)
	log.wantEnd(t, EOF, Client)
	// 4 and 5: the other is cut, and counted.
	deadline()
	if r := <-done; r.err != nil || r.Cut != 1 || len(r.Left) > 0 {
		t.Errorf("drain: %+v", r)
	}
	wantReset(t, stays)
	end := log.wantEnd(t, Drained, Us)
	wantBytes(t, end, 5, 5)
	if s.Resource().State() != lifetime.Released {
		t.Errorf("the server is %v", s.Resource().State())
	}
}

type drained struct {
	DrainResult
	err error
}

// drain drains s on a goroutine.
func drain(ctx context.Context, s *Server) <-chan drained {
	done := make(chan drained, 1)
	go func() {
		r, err := s.Drain(ctx)
		done <- drained{r, err}
	}()
	return done
}

// Any number of callers may drain, at any time: all return when it is over.
func TestDrainTwice(t *testing.T) {
	leak.Check(t)
	s, _ := start(t, Config{To: address(t, "echo:")})
	c := dial(t, s.Addrs()[0])
	send(t, c, "hello")
	wantText(t, c, "hello")
	var all []<-chan drained
	for range 3 {
		all = append(all, drain(t.Context(), s))
	}
	<-s.acceptorList()[0].l.Resource().Done()
	finish(t, c)
	wantEOF(t, c)
	for _, done := range append(all, drain(t.Context(), s)) {
		if r := <-done; r.err != nil || r.Cut != 0 {
			t.Errorf("drain: %+v", r)
		}
	}
}

// A deadline that has passed before the drain begins cuts at once.
func TestDrainWithoutTime(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: address(t, "echo:")})
	for range 3 {
		c := dial(t, s.Addrs()[0])
		send(t, c, "hello")
		wantText(t, c, "hello")
	}
	if n := cut(t, s); n != 3 {
		t.Errorf("%d conns were cut, want 3", n)
	}
	for range 3 {
		log.wantEnd(t, Drained, Us)
	}
}

// A shutdown for any other cause than a drain's deadline is a kill.
func TestKilled(t *testing.T) {
	leak.Check(t)
	s, log := start(t, Config{To: address(t, "echo:")})
	c := dial(t, s.Addrs()[0])
	send(t, c, "hello")
	wantText(t, c, "hello")
	s.Resource().BeginShutdown(errors.New("an operator's wish"))
	wantReset(t, c)
	end := log.wantEnd(t, Killed, Us)
	if err := end["err"].String(); !strings.Contains(err, "an operator's wish") {
		t.Errorf("err is %s, without the cause", err)
	}
}

// A gate is a log that keeps whoever writes a message waiting.
type gate struct {
	slog.Handler
	message string
	reached chan struct{} // gets one for each that waits
	open    chan struct{}
}

func (g *gate) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == g.message {
		select {
		case g.reached <- struct{}{}:
			<-g.open
		case <-g.open:
		}
	}
	return g.Handler.Handle(ctx, r)
}

// On a loaded machine the server comes late to what its backlog holds. To the
// clients these connections stand, so they are served all the same.
func TestDrainServesABacklogThatWaits(t *testing.T) {
	const n = 20
	leak.Check(t)
	g := &gate{newLines(), "conn accepted", make(chan struct{}), make(chan struct{})}
	s, err := Start(t.Context(), Config{
		Listen: []socket.Address{address(t, "127.0.0.1:0")},
		To:     address(t, "echo:"),
		Log:    slog.New(g),
	})
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(func() {
		release()
		cut(t, s)
	})
	list := []*net.TCPConn{dial(t, s.Addrs()[0])}
	<-g.reached // nothing is accepted from here on
	for range n {
		list = append(list, dial(t, s.Addrs()[0]))
	}
	ctx, stop := context.WithTimeout(t.Context(), testPatience)
	defer stop()
	done := drain(ctx, s)
	<-s.stopping
	late := time.NewTimer(50 * time.Millisecond) // any time must do
	<-late.C
	release()
	for i, c := range list {
		send(t, c, "hello")
		finish(t, c)
		if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
			t.Fatalf("conn %d: got %q, %v", i, got, err)
		}
	}
	if r := <-done; r.err != nil || r.Cut != 0 {
		t.Errorf("drain: %+v", r)
	}
}

// A stage that does not come back is all that a forced end waits for, and not
// for ever: Left names what it keeps. The bubble makes the wait short; its clock
// stands still while an event loop waits.
func TestDrainNamesWhatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		release := make(chan struct{})
		s, _ := start(t, Config{To: address(t, "echo:"), EventLoops: -1, Up: transform.Chain{
			transform.NewStage("stuck", func(src io.Reader) io.ReadCloser {
				return io.NopCloser(readerFunc(func([]byte) (int, error) {
					close(stuck)
					<-release
					return 0, io.EOF
				}))
			}),
		}})
		dial(t, s.Addrs()[0])
		<-stuck
		now, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		r, err := s.Drain(now)
		if !errors.Is(err, lifetime.ErrHoldersAlive) || r.Cut != 1 || time.Since(began) != patience {
			t.Errorf("after %v drain: %+v, %v", time.Since(began), r, err)
		}
		if !slices.ContainsFunc(r.Left, func(i lifetime.Info) bool { return i.Kind == "conn" }) {
			t.Errorf("what is left is %v: the conn is missing", r.Left)
		}
		close(release)
		<-s.Resource().Done()
	})
}
