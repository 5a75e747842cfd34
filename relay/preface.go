package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"relayd/relay/preface"
	"relayd/socket"
)

// What comes on a connection before the bytes that are relayed is its preface: a
// PROXY header, a TLS handshake, a ClientHello. It is read on a goroutine before
// the upstream is dialled, and only where something is expected: where the server
// speaks first, nobody must wait for the client.

// seams are what reads and writes prefaces. Nil is package preface.
type seams struct {
	// preface reads what is expected from a source, and gives back what it does
	// not need. It may take the halves of the socket.
	preface func(ctx context.Context, s *socket.Socket, source string, want expected) (preface.Result, error)
	// header returns the PROXY header for a client. Any empty send buffer has
	// room for it.
	header func(v ProxyVersion, of introduced) []byte
}

func (s seams) complete() seams {
	if s.preface == nil {
		s.preface = readPreface
	}
	if s.header == nil {
		s.header = proxyHeader
	}
	return s
}

// expected is what a preface has.
type expected struct {
	proxyFrom []netip.Prefix // whose begin with a PROXY header
	tls       bool           // then a TLS handshake, for which we have the key
	hello     bool           // then a ClientHello, which stays where it is
}

// readPreface reads with package preface, and does the handshake. The context
// bounds it. Of TLS that ends here the ClientHello is the handshake's.
func readPreface(ctx context.Context, s *socket.Socket, source string, want expected) (preface.Result, error) {
	r, err := preface.Read(ctx, s, source, preface.Options{ProxyFrom: want.proxyFrom, Hello: want.hello && !want.tls, Timeout: -1})
	if err != nil || !want.tls {
		return r, err
	}
	info, err := s.Handshake(ctx)
	if err != nil {
		return r, handshakeError{err}
	}
	r.Hello = &preface.Hello{ServerName: strings.TrimSuffix(strings.ToLower(info.SNI), ".")}
	if info.ALPN != "" {
		r.Hello.ALPN = []string{info.ALPN}
	}
	return r, nil
}

// Why a conn has no route in the end.
var (
	errNoMatch = errors.New("no match takes it, and the listener has no other route")
	errDenied  = errors.New("the client that the PROXY header names may not connect")
	errTooMany = errors.New("the client that the PROXY header names has too many conns")
	errRemoved = errors.New("its route was removed while its preface was read")
)

// A handshakeError is that a TLS handshake has failed, rather than that something
// else was sent.
type handshakeError struct{ error }

func (e handshakeError) Unwrap() error { return e.error }

// open reads the preface of a conn, and chooses its route.
func (c *conn) open(ctx context.Context) error {
	e := c.path.Load().entry
	source := sourceOf(c.from)
	trusted := e.trusts(source)
	reading, stop := ctx, context.CancelFunc(func() {})
	if t := e.prefaceTimeout(); t > 0 {
		reading, stop = context.WithTimeout(ctx, t)
	}
	got, err := c.server().preface(reading, &c.client, c.from, expected{e.ProxyFrom, e.tls(), len(e.Match) > 0})
	timedOut := reading.Err() == context.DeadlineExceeded
	stop()
	if err != nil {
		return c.prefaceFailed(err, timedOut)
	}
	c.server().stale.look(c.server().Log, &c.client, e.Address)
	c.introduce(got)
	if h := got.Header; h != nil && h.From() != "" {
		source = sourceOf(h.From())
	}
	if trusted && !c.admitNamed(e, source) {
		return errNoMatch
	}
	var hello preface.Hello // as of who has none
	if got.Hello != nil {
		hello = *got.Hello
	}
	name := e.choose(hello)
	if name == "" {
		c.failed(NoRoute, Us, errNoMatch)
		return errNoMatch
	}
	return c.choose(name)
}

// admitNamed is admit for the client that a PROXY header names. One that names
// nobody is the proxy's own, which may always connect.
func (c *conn) admitNamed(e *entry, source netip.Addr) bool {
	if c.bits.Load()&renamed == 0 {
		return true
	}
	if e.denies(source) {
		c.failed(Denied, Us, errDenied)
		return false
	}
	bits, ok := e.a.countSource(source, e.MaxPerSource, c.server().limits.Load().MaxPerSource)
	if !ok {
		c.failed(MaxPerSource, Us, errTooMany)
		return false
	}
	c.bits.Or(bits)
	return true
}

// prefaceFailed notes why the preface could not be read.
func (c *conn) prefaceFailed(err error, timedOut bool) error {
	var handshake handshakeError
	var wrong *preface.Error
	var ours ending
	switch {
	case c.dying():
	case errors.As(err, &ours): // a kill may reach the socket before the conn
		c.shutDown(err)
	case socket.IsUnspoken(err):
		c.failed(NoPreface, Client, wordless(err))
	case timedOut && !errors.As(err, &handshake):
		c.failed(PrefaceTimeout, Client, fmt.Errorf("the preface has not come in time: %w", err))
	case errors.As(err, &handshake) && socket.IsReset(err):
		c.failed(ResetClient, Client, err)
	case errors.As(err, &handshake) && socket.IsExhausted(err):
		c.failed(TLSFailed, Us, err)
	case errors.As(err, &handshake):
		c.failed(TLSFailed, Client, err)
	case errors.As(err, &wrong), errors.Is(err, io.ErrUnexpectedEOF):
		c.failed(BadPreface, Client, err)
	default:
		c.failed(ResetClient, Client, err)
	}
	return err
}

// wordless returns err, unless it is an end that the reason says all about.
func wordless(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// choose gives the conn its route, as it is now.
func (c *conn) choose(name string) error {
	s := c.server()
	for {
		now := s.setup.Load()
		r := now.routes[name]
		if r == nil {
			c.failed(Removed, Us, errRemoved)
			return errRemoved
		}
		if !r.pool.hold() {
			continue // there is another one
		}
		p := c.path.Load().entry.along(r)
		c.mu.Lock()
		c.path.Store(p)
		c.unusual().dials = time.Since(epoch)
		c.mu.Unlock()
		if r.removed.Load() {
			c.routeRemoved()
		}
		return nil
	}
}
