package admin

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// A Listen is a place to serve at.
type Listen struct {
	Address socket.Address // a Unix socket, which gets mode 0600 if it asks for none, or TCP
	View    bool           // for watchers
	Token   string         // what every request has to bear; required over TCP
}

// A Config is what a Server serves.
type Config struct {
	Relay   *relay.Server
	Drainer Drainer
	Metrics http.Handler // what /metrics answers
	// Allows returns why the process could not open what a stage needs, or nil.
	// Nil allows all stages.
	Allows func(transform.Stage) error
	// Reload reads the configuration again and follows it, or only says what
	// that would change. Its error may have several lines. Nil has none.
	Reload func(ctx context.Context, dryRun bool) (Reload, error)
	Log    *slog.Logger
}

// A Drainer ends the relay, and with it the process.
type Drainer interface {
	// Drain begins, and returns at once. It reports false if a drain is under
	// way. A nil duration is the command line's.
	Drain(timeout, spread *time.Duration) bool
	// Progress says how far the drain is.
	Progress() Drain
	// Over is closed when all conns have ended.
	Over() <-chan struct{}
}

// A Server is the admin API's. It is a resource, with its listeners and its
// connections below it.
type Server struct {
	node lifetime.Node
	Config
	log       *slog.Logger
	listeners []*listener
	serving   sync.WaitGroup
	servers   []*http.Server
	ctx       context.Context // ends with the server: long answers end with it
	stop      context.CancelFunc

	headerTime, readTime, writeTime time.Duration // the constants, but in tests
}

var serverKind = lifetime.NewKind(lifetime.Hooks[Server]{Name: "admin"})

// ErrNoToken is that a TCP address was to be served without one.
var ErrNoToken = errors.New("the admin API is served over TCP with a token only")

// Limits of connections.
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
	closeTime  = 2 * time.Second
)

// New opens the listeners. Nothing is answered before [Server.Serve]. When it
// fails nothing is left open.
func New(ctx context.Context, at []Listen) (*Server, error) {
	s := &Server{headerTime: headerTime, readTime: readTime, writeTime: writeTime}
	if err := serverKind.Init(s, nil, lifetime.Refcount); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, l := range at {
		opened, err := s.listen(ctx, l)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.listeners = append(s.listeners, opened)
	}
	return s, nil
}

// Addrs returns the addresses that are served, as they were opened.
func (s *Server) Addrs() []socket.Address {
	list := make([]socket.Address, len(s.listeners))
	for i, l := range s.listeners {
		list[i] = l.on.Addr()
	}
	return list
}

// Serve begins to answer, in the background.
func (s *Server) Serve(c Config) {
	s.Config, s.log = c, c.Log
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, l := range s.listeners {
		server := &http.Server{
			Handler:           s.guard(l.Listen, s.routes(l)),
			ReadHeaderTimeout: s.headerTime,
			IdleTimeout:       idleTime,
			MaxHeaderBytes:    maxHeader,
			ConnState:         l.turned,
			ConnContext:       withPeer,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		}
		s.servers = append(s.servers, server)
		s.serving.Add(1)
		go s.serve(server, l)
	}
}

func (s *Server) serve(server *http.Server, l *listener) {
	defer s.serving.Done()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("admin: the API has ended", "address", l.on.Addr().String(), "err", err)
	}
}

// guard lets requests through that may come.
func (s *Server) guard(l Listen, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := s.request(w, hr)
		r.bound(s.readTime)
		if r.Header.Get("Origin") != "" {
			w.Header().Set("Connection", "close") // who may not ask is not waited for
			// A page in somebody's browser: no client of ours sends it, and no
			// page has business here, whatever name led it to this address.
			s.refuse(r, fail(http.StatusForbidden, "browser", "the request is a web page's, and is not for one to make"))
			return
		}
		if l.Token != "" && !bears(hr, l.Token) {
			w.Header().Set("Connection", "close")
			w.Header().Set("WWW-Authenticate", `Bearer realm="relayd"`)
			e := fail(http.StatusUnauthorized, "no_token", "the request does not bear the token of this address")
			e.Hint = "send Authorization: Bearer, and what the token file holds"
			s.refuse(r, e)
			return
		}
		next.ServeHTTP(w, hr)
	})
}

// peerKey is where the context of a request has its connection.
type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, c)
}

// bears reports whether a request has the token. It takes as long whatever part
// of it is right.
func bears(r *http.Request, token string) bool {
	kind, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(kind, "bearer") && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}

// Close ends the API: answers under way have a moment, then everything is shut
// down. It waits until all is released.
func (s *Server) Close() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	for _, server := range s.servers {
		server.Shutdown(ctx)
		server.Close() // those that had not ended
	}
	s.serving.Wait()
	now, cancelNow := context.WithTimeout(context.Background(), closeTime)
	defer cancelNow()
	s.node.Shutdown(now, http.ErrServerClosed)
}
