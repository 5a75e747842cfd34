package admin

import (
	"context"
	"net"

	"relayd/socket"
)

// A listener is one of the API's. What it accepts are sockets like any other:
// they stand in the tree below the server, and its end is theirs.
type listener struct {
	Listen
	s  *Server
	on *socket.Listener
	peers
	slots slots
}

// The places of the API's sockets in the tree.
var clientPlace = socket.NewPlace("client")

// ownerOnly is the mode of a Unix socket of the API's.
const ownerOnly = "0600"

func (s *Server) listen(ctx context.Context, l Listen) (*listener, error) {
	switch l.Address.Kind {
	case socket.Unix:
		if !l.Address.Abstract {
			l.Address = l.Address.WithDefault("mode", ownerOnly)
		} else if l.Token == "" {
			return nil, errAbstract
		}
	case socket.TCP:
		if l.Token == "" {
			return nil, ErrNoToken
		}
	default:
		return nil, errKind
	}
	on, err := socket.Listen(ctx, l.Address, &s.node)
	if err != nil {
		return nil, err
	}
	return &listener{Listen: l, s: s, on: on, slots: newSlots()}, nil
}

// Accept waits for a connection. What is wrong with one is no reason to accept
// no more, and what may pass says so: an http.Server ends with other errors.
func (l *listener) Accept() (net.Conn, error) {
	for {
		in, err := l.on.Accept()
		switch {
		case socket.IsExhausted(err):
			return nil, passing{err}
		case err != nil:
			return nil, err
		}
		c, err := in.Open(socket.At{Parent: &l.s.node, Place: clientPlace})
		if err != nil {
			return nil, err
		}
		nc, err := socket.NewConn(c)
		if err != nil {
			return nil, err
		}
		if h := l.hold(nc); h != nil {
			return h, nil
		}
	}
}

// A passing error is one that http.Server waits for to pass.
type passing struct{ error }

func (p passing) Unwrap() error   { return p.error }
func (p passing) Timeout() bool   { return false }
func (p passing) Temporary() bool { return true }

// Close stops accepting, and removes a socket file.
func (l *listener) Close() error { return l.on.Drop(context.Background()) }

// Addr returns the address.
func (l *listener) Addr() net.Addr { return netAddr{l.on.Addr()} }

// A netAddr is an address as package net has them.
type netAddr struct{ a socket.Address }

func (a netAddr) Network() string { return a.a.Kind.String() }
func (a netAddr) String() string  { return a.a.String() }
