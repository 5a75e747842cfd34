package relay

import (
	"log/slog"
	"net/netip"
	"time"

	"relayd/lifetime"
	"relayd/relay/upstream"
	"relayd/socket"
	"relayd/transform"
)

// A Config says what a [Server] relays, and how. It has a plain form, for one
// route to one target, and a general one with Listeners, Routes and Upstreams;
// a Config has one or the other.
type Config struct {
	// Listen, To, Up, Down and Timeouts are the plain form. It stands for a
	// listener at each address, which goes by its address, and for one route to
	// one upstream, both called [DefaultName]. In the general form Timeouts are
	// those of a conn that has no route yet.
	Listen []socket.Address // where to accept; at least one
	To     socket.Address   // the upstream
	Up     transform.Chain  // from client to upstream
	Down   transform.Chain  // from upstream to client
	Timeouts

	// Listeners, Routes and Upstreams are the general form. Names are unique
	// within each of the three.
	Listeners []Listener
	Routes    []Route
	Upstreams []upstream.Config

	// Limits bound what all listeners together take.
	Limits Limits

	// What follows is for the whole life of a server: see [Server.Reload].

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
	// Opened, if it is not nil, is called once all listeners are open, and before
	// any of them accepts: for what has to be done between the two, such as giving
	// up privileges. Its error ends the server, and is what Start returns. Reload
	// does not look at it.
	Opened func() error

	seams
}

// DefaultName is that of the route and of the upstream that the plain form of a
// [Config] has.
const DefaultName = "default"

// A Listener accepts connections at one address and gives them to routes.
//
// The source of a connection is the address that it comes from; if ProxyFrom
// trusts that one, the address of the client that the PROXY header names. An
// IPv4 address that is written as an IPv6 one (::ffff:10.0.0.1) is the IPv4
// address. Connections by Unix sockets, stdio: and programs have no source: no
// network of Deny has them, nor one of Allow, and MaxPerSource does not count
// them. Who may connect to a Unix socket is said by its mode and owner.
type Listener struct {
	Name    string // it goes by its address if it is empty
	Address socket.Address
	// Route is the name of the route for conns that no Match takes. If it is
	// empty they are refused.
	Route string
	// Match looks at the beginning of what a client of TLS sends. The first
	// that fits wins.
	Match []Match
	// Allow and Deny are who may connect: none whose source is in Deny, and, if
	// there is an Allow, only those whose source is in it.
	Allow, Deny []netip.Prefix
	// MaxConns bounds how many conns live at once, and MaxPerSource how many
	// have the same source, of which an IPv6 one is a network of 64 bits. In
	// each zero or less is no bound.
	MaxConns, MaxPerSource int
	// AcceptRate bounds the connections that are accepted per second; after a
	// quiet second there may be that many at once. Zero or less is no bound.
	AcceptRate float64
	// ProxyFrom are the networks whose connections begin with a PROXY header,
	// version 1 or 2. If it is not empty, so do those that have no address.
	// Others begin with the client's own bytes.
	ProxyFrom []netip.Prefix
	// PrefaceTimeout bounds how long a PROXY header, a ClientHello and a TLS
	// handshake may take together. The default is 3s, and 10s for TLS that ends
	// here; negative is no bound. Who goes away before the first byte, or
	// between two of them, has ended by [NoPreface], which is logged on debug only.
	PrefaceTimeout time.Duration
}

// A Match is a condition on a client's TLS ClientHello, and the route for those
// that meet it: one of the names in SNI, if there are any, and one of the
// protocols in ALPN, if there are any.
type Match struct {
	SNI   []string // exact, or *.example.com for all names that end so, or *
	ALPN  []string
	Route string
}

// A Route is how conns reach an upstream.
type Route struct {
	Name     string
	Upstream string          // by its name
	Up       transform.Chain // from client to upstream
	Down     transform.Chain // from upstream to client
	Timeouts Timeouts
	// SendProxy is the version of the PROXY header that the upstream gets
	// before the client's first byte.
	SendProxy ProxyVersion
	// OnRemove is what becomes of the conns of a route that a reload removes.
	OnRemove OnRemove
}

// Limits bound what is accepted, as the fields of [Listener] of the same names.
type Limits struct {
	MaxConns, MaxPerSource int
	AcceptRate             float64
}

// A ProxyVersion is that of a PROXY header. Zero is none.
type ProxyVersion uint8

// The versions.
const (
	NoProxy ProxyVersion = iota
	ProxyV1
	ProxyV2
	// ProxyV2TLV is version 2 with what else is known: the TLVs of the header that
	// the client came with, the name that it wants (SNI), and what became of TLS
	// that ends here. nginx up to 1.22 does not take headers of that length.
	ProxyV2TLV
)

// OnRemove says what becomes of the conns of a route that is removed.
type OnRemove uint8

// The ways.
const (
	// KeepConns: they live on as they are. The default.
	KeepConns OnRemove = iota
	// DrainConns: they may come to their own end for the route's
	// [Timeouts].Drain. Then they are finished as by [Server.Finish], and cut.
	DrainConns
	// KillConns: they are shut down at once.
	KillConns
)

// A Change is what a reload has changed.
type Change struct {
	Listeners, Routes, Upstreams Changes
	// Killed is how many conns were shut down, with the routes that were
	// removed with [KillConns], and Draining how many are to end in their
	// route's drain time.
	Killed, Draining int
}

// Changes are the names of what has come, gone, changed and stayed, in the order
// of the configuration.
type Changes struct{ Added, Removed, Changed, Kept []string }
