package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// A Config says what a [Server] relays, and how.
type Config struct {
	Listen []socket.Address // where to accept; at least one
	To     socket.Address   // the upstream
	Up     transform.Chain  // from client to upstream
	Down   transform.Chain  // from upstream to client

	// Timeouts bound what conns wait for.
	Timeouts
	// Policy is the drop policy of the accepted sockets.
	Policy lifetime.Policy
	// MoveEvery, if it is positive, makes every conn move between its event
	// loop and goroutines so often: for tests.
	MoveEvery time.Duration
	// EventLoops is how many event loops move bytes where no stage is in the
	// way. Zero means one for each processor but one, at least one; negative,
	// or a system without them, goroutines only.
	EventLoops int
	// Log gets one line for each conn at its end, and on debug at its accept.
	// Nil discards.
	Log *slog.Logger
	// LogEvery, if it is positive, makes the log get a line about each conn
	// that lives, whenever it has lived so long again: to about a second.
	LogEvery time.Duration
	// LogRate bounds the lines about conns, per second, and those that are
	// warnings, apart. What is left out is counted, and said once a second.
	// Zero means 1000 a second, negative no bound.
	LogRate int
}

// A Server accepts and relays. All its conns and listeners are below it in the
// lifetime tree.
type Server struct {
	node lifetime.Node
	Config

	dialer    *socket.Dialer
	at        socket.At // what all sockets have in common
	listeners []*socket.Listener
	loops     *socket.Loops // nil: goroutines only
	accepting sync.WaitGroup
	acceptors atomic.Int64  // listeners that accept
	accepts   []*acceptor   // one for each listener
	editing   sync.Mutex    // held through a change of their chains
	stopping  chan struct{} // closed when accepting is to end
	stopOnce  sync.Once
	cut       atomic.Int64 // conns that a drain has ended by force
	book      logbook
	ledger    ledger
	restless  *restless // nil: conns stay where they are
	unwatched chan struct{}
	done      chan struct{}
}

// Waiting for the children of a server, with a bound, is a drain.
var serverKind = lifetime.NewKind(lifetime.Hooks[Server]{
	Name:    "relay",
	Release: (*Server).released,
})

// errNoListener is what a configuration without one comes to.
var errNoListener = errors.New("relay: no address to listen on")

// Start listens on all addresses and begins to accept. When one of them fails
// it closes the others and returns why. ctx bounds the listening only.
func Start(ctx context.Context, c Config) (*Server, error) {
	s := &Server{Config: c, stopping: make(chan struct{}), done: make(chan struct{}), unwatched: make(chan struct{})}
	s.Timeouts = c.Timeouts.complete()
	s.at = socket.At{Policy: c.Policy, Linger: s.Linger, MaxLinger: s.MaxLinger}
	if len(c.Listen) == 0 {
		return nil, errNoListener
	}
	var err error
	if s.dialer, err = socket.NewDialer(s.onto(c.To)); err != nil {
		return nil, err
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.EventLoops >= 0 {
		s.loops, err = socket.StartLoops(s.EventLoops)
		if err != nil && err != socket.ErrNoLoops {
			return nil, fmt.Errorf("event loops: %w", err)
		}
	}
	s.book.open()
	go s.keep()
	if err := serverKind.Init(s, nil, lifetime.Block); err != nil {
		close(s.unwatched)
		s.released()
		return nil, err
	}
	go s.watch()
	if s.loops != nil && s.MoveEvery > 0 {
		s.restless = &restless{conns: make(map[*conn]*home), stopped: make(chan struct{})}
		go s.restless.run(s, s.MoveEvery)
	}
	for _, a := range c.Listen {
		l, err := socket.Listen(ctx, s.onto(a), &s.node)
		if err != nil {
			s.node.Shutdown(context.Background(), err)
			<-s.done
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	s.begin()
	return s, nil
}

// begin accepts at all listeners.
func (s *Server) begin() {
	s.acceptors.Store(int64(len(s.listeners)))
	s.accepting.Add(len(s.listeners))
	for _, l := range s.listeners {
		a := &acceptor{s: s, l: l, at: l.Addr().String()}
		a.path.Store(&path{s: s, listener: a.at, up: s.Up, down: s.Down})
		s.accepts = append(s.accepts, a)
		on, err := l.AcceptOn(s.loops, a)
		if err != nil {
			s.Log.Warn("accepting without event loops", "listener", a.at, "err", err)
		}
		if !on {
			go a.run()
		}
	}
}

// released begins the end of what is not in the tree.
func (s *Server) released() { close(s.book.closed) }

// keep writes the log and ends what the conns needed, when the last one has
// gone.
func (s *Server) keep() {
	defer close(s.done)
	s.book.write(s)
	if s.restless != nil {
		<-s.restless.stopped
	}
	if s.loops != nil {
		s.loops.Stop()
		s.loops.Wait()
	}
}

// lastAccept ends the server when its last conn has gone, after the last accept
// loop has ended: listeners of one connection (stdio:, exec:, a connected fd://)
// are through by themselves.
func (s *Server) lastAccept() {
	if s.acceptors.Add(-1) > 0 {
		return
	}
	s.closeListeners()
	s.node.BeginDrop()
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Resource().BeginDrop()
	}
}

// Addrs returns the addresses that are listened on, with the ports that were
// taken where the configuration left them open.
func (s *Server) Addrs() []socket.Address {
	list := make([]socket.Address, len(s.listeners))
	for i, l := range s.listeners {
		list[i] = l.Addr()
	}
	return list
}

// Resource returns the server's place in the tree: its conns are below it.
func (s *Server) Resource() *lifetime.Node { return &s.node }

// Done returns a channel that is closed when the server has ended, and the last
// line is logged: by Drain, or by itself when no listener can accept any more
// and the last conn has gone.
func (s *Server) Done() <-chan struct{} { return s.done }
