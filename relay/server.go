package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// A Server accepts and relays. All its conns and listeners are below it in the
// lifetime tree.
type Server struct {
	node lifetime.Node
	fixed
	opened func() error // Config.Opened, until it was called
	stale  staleness

	loops *socket.Loops // nil: goroutines only

	// changing has room for who changes what is relayed, one at a time.
	changing chan struct{}
	setup    atomic.Pointer[setup]
	limits   atomic.Pointer[limits]
	live     atomic.Int64 // conns
	sources  sources

	mu        sync.Mutex
	accepts   []*acceptor // in the order of the configuration
	acceptors int         // that accept; those, too, that are about to go
	stopped   bool        // there will be no other ones

	accepting  sync.WaitGroup
	stopping   chan struct{} // closed when accepting is to end
	stopOnce   sync.Once
	cut        atomic.Int64 // conns that a drain has ended by force
	book       logbook
	ledger     ledger
	restless   *restless      // nil: conns stay where they are
	background sync.WaitGroup // what ends what a reload has replaced
	sweepAt    atomic.Int64   // how often the watch looks
	sweepSoon  chan struct{}  // has room for one: oftener than before
	unwatched  chan struct{}
	done       chan struct{}
}

// fixed is the part of a configuration that a server has for its whole life.
type fixed struct {
	Policy     lifetime.Policy
	MoveEvery  time.Duration
	EventLoops int
	Log        *slog.Logger // never nil
	LogEvery   time.Duration
	LogRate    int
	seams
}

// A setup is what a server relays now. It does not change, but is replaced.
type setup struct {
	plan     *plan
	routes   map[string]*route
	pools    map[string]*pool // each is held once
	unrouted *route           // of conns that have none yet
}

// Waiting for the children of a server, with a bound, is a drain.
var serverKind = lifetime.NewKind(lifetime.Hooks[Server]{
	Name:    "relay",
	Release: (*Server).released,
})

// newServer returns a server that does nothing yet.
func newServer(c *Config) *Server {
	s := &Server{
		opened:   c.Opened,
		fixed:    fixed{c.Policy, c.MoveEvery, c.EventLoops, c.Log, c.LogEvery, c.LogRate, c.seams.complete()},
		changing: make(chan struct{}, 1), stopping: make(chan struct{}), sweepSoon: make(chan struct{}, 1),
		done: make(chan struct{}), unwatched: make(chan struct{}),
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.setup.Store(&setup{plan: &plan{}})
	s.limits.Store(&limits{})
	s.book.open()
	return s
}

// Start listens on all addresses and begins to accept. When one of them fails
// it closes the others and returns why. ctx bounds the listening only.
func Start(ctx context.Context, c Config) (*Server, error) {
	plan, err := c.plan()
	if err != nil {
		return nil, err
	}
	s := newServer(&c)
	if s.EventLoops >= 0 {
		s.loops, err = socket.StartLoops(s.EventLoops)
		if err != nil && err != socket.ErrNoLoops {
			return nil, fmt.Errorf("event loops: %w", err)
		}
	}
	s.sweepAt.Store(int64(s.watchEvery(plan)))
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
	if _, err := s.change(ctx, plan); err != nil {
		s.node.Shutdown(context.Background(), err)
		<-s.done
		return nil, err
	}
	return s, nil
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
	s.background.Wait()
	for _, p := range s.setup.Load().pools {
		p.release()
	}
	s.background.Wait()
	if s.loops != nil {
		s.loops.Stop()
		s.loops.Wait()
	}
}

// lastAccept ends the server when its last conn has gone, after the last accept
// loop has ended: listeners of one connection (stdio:, exec:, a connected fd://)
// are through by themselves.
func (s *Server) lastAccept() {
	s.mu.Lock()
	s.acceptors--
	last := s.acceptors == 0
	s.stopped = s.stopped || last
	s.mu.Unlock()
	if last {
		s.closeListeners()
		s.node.BeginDrop()
	}
}

func (s *Server) closeListeners() {
	for _, a := range s.acceptorList() {
		a.l.Resource().BeginDrop()
	}
}

// acceptorList returns the acceptors of the listeners that there are now.
func (s *Server) acceptorList() []*acceptor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepts)
}

// Addrs returns the addresses that are listened on, with the ports that were
// taken where the configuration left them open.
func (s *Server) Addrs() []socket.Address {
	accepts := s.acceptorList()
	list := make([]socket.Address, len(accepts))
	for i, a := range accepts {
		list[i] = a.l.Addr()
	}
	return list
}

// Listeners describes all listeners, in the order of the configuration: as they
// are configured, each with its name, and with the address that is listened on.
func (s *Server) Listeners() []Listener {
	accepts := s.acceptorList()
	list := make([]Listener, len(accepts))
	for i, a := range accepts {
		list[i] = a.entry.Load().Listener
		list[i].Address = a.l.Addr()
	}
	return list
}

// Resource returns the server's place in the tree: its conns are below it.
func (s *Server) Resource() *lifetime.Node { return &s.node }

// Done returns a channel that is closed when the server has ended, and the last
// line is logged: by Drain, or by itself when no listener can accept any more
// and the last conn has gone.
func (s *Server) Done() <-chan struct{} { return s.done }

// errFixed is that a reload would change what cannot be.
var errFixed = errors.New("a reload cannot change it: start anew")

// allows returns nil, or what of c cannot be changed.
func (f *fixed) allows(c *Config) error {
	for _, x := range []struct {
		name string
		same bool
	}{
		{"Policy", f.Policy == c.Policy},
		{"MoveEvery", f.MoveEvery == c.MoveEvery},
		{"EventLoops", f.EventLoops == c.EventLoops},
		{"Log", c.Log == nil || f.Log == c.Log},
		{"LogEvery", f.LogEvery == c.LogEvery},
		{"LogRate", f.LogRate == c.LogRate},
	} {
		if !x.same {
			return fmt.Errorf("relay: %s: %w", x.name, errFixed)
		}
	}
	return nil
}
