package preface

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"relayd/socket"
)

// Options are what a listener wants to know before it relays a connection. The
// zero Options want nothing.
type Options struct {
	// ProxyFrom are the sources whose connections begin with a PROXY header,
	// which is then believed. Empty: there are no headers. See the package's
	// doc for those from elsewhere.
	ProxyFrom []netip.Prefix
	// Hello wants to know what the ClientHello of TLS says.
	Hello bool
	// Timeout is how long all of it may take. Zero means 3s, negative for ever.
	Timeout time.Duration
}

const defaultTimeout = 3 * time.Second

func (o *Options) timeout() time.Duration { return cmp.Or(o.Timeout, defaultTimeout) }

// Idle reports whether there is nothing to read of a connection from source, which
// is as for Read: that would return at once.
func (o *Options) Idle(source string) bool {
	return !o.Hello && (len(o.ProxyFrom) == 0 || isIP(source) && !o.trusts(source))
}

// trusts reports whether an IP address is that of a source that is believed.
func (o *Options) trusts(source string) bool {
	from, err := netip.ParseAddrPort(source)
	if err != nil {
		return false
	}
	a := from.Addr().Unmap().WithZone("")
	for _, p := range o.ProxyFrom {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// expects reports whether a connection begins with a header. Of one of TCP that was
// reset the system may not know any more where it came from, and then it is not one
// of a Unix socket's.
func (o *Options) expects(source, local string) bool {
	if len(o.ProxyFrom) == 0 {
		return false
	}
	if isIP(source) {
		return o.trusts(source)
	}
	return local != "" && !isIP(local)
}

func isIP(address string) bool {
	_, err := netip.ParseAddrPort(address)
	return err == nil
}

// A Result is what a preface has told.
type Result struct {
	Header *Header // nil: none was expected
	Hello  *Hello  // nil: none was wanted, or the connection is not TLS
	NotTLS string  // what it looks like instead, if a Hello was wanted
}

// Read reads the preface of a connection whose read half was not handed out yet,
// and whose source is as [socket.Incoming.RemoteAddr] had it when it was accepted. A
// PROXY header is consumed; all else is left to who reads the stream. It waits,
// so it is not for an event loop. Of a connection that Options have no questions
// about it reads nothing, and so does not wait for its client to speak first.
//
// That a connection is not TLS is no error: it is for the routes to say what is to
// become of it. Errors are those of [socket.Socket.Preface]; in them is an
// [*Error] for a header or a ClientHello that is missing or wrong; one that is
// context.DeadlineExceeded says that time was up: see [socket.IsTimeout]. The
// Result has then what was read before.
func Read(ctx context.Context, s *socket.Socket, source string, o Options) (r Result, err error) {
	expects := o.expects(source, s.LocalAddr())
	if !expects && !o.Hello {
		return r, nil
	}
	l := &late{within: o.timeout()}
	if l.within > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, l.within, l)
		defer stop()
	}
	if expects {
		l.part = Proxy
		if err := s.Preface(ctx, MaxProxy, r.parseProxy); err != nil {
			return r, err
		}
	}
	if o.Hello {
		l.part = ClientHello
		err = s.Preface(ctx, MaxHello, r.parseHello)
	}
	return r, err
}

// A late is why a Read has ended when its time was up.
type late struct {
	part   Part
	within time.Duration
}

// Error says what was waited for.
func (l *late) Error() string { return fmt.Sprintf("%s: it was not there within %v", l.part, l.within) }

// Is reports that it is the end of a context's time.
func (l *late) Is(target error) bool { return target == context.DeadlineExceeded }

func (r *Result) parseProxy(seen []byte) (n int, done bool, err error) {
	h, n, done, err := ParseProxy(seen)
	if done {
		r.Header = &h
	}
	return n, done, err
}

func (r *Result) parseHello(seen []byte) (n int, done bool, err error) {
	h, done, err := ParseHello(seen)
	var other *NotTLSError
	switch {
	case errors.As(err, &other):
		r.NotTLS = other.What
		return 0, true, nil
	case done:
		r.Hello = &h
	}
	return 0, done, err
}
