package socket

import (
	"context"
	"net"
)

// Dial connects to a and puts the socket into the tree. It waits until the
// connection stands or ctx ends; several addresses of one name are tried as
// package net does. The halves of an echo or a discard are ready at once.
func Dial(ctx context.Context, a Address, at At) (*Socket, error) {
	t, err := dial(ctx, a)
	if err != nil {
		return nil, &Error{Op: "dial", Remote: a.String(), Err: reason(err)}
	}
	s, err := open(t, at)
	if err != nil {
		return nil, &Error{Op: "dial", Remote: a.String(), Err: err}
	}
	return s, nil
}

func dial(ctx context.Context, a Address) (transport, error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	switch a.Kind {
	case Echo, Discard:
		return newMemoryTransport(a.Kind), nil
	}
	d := net.Dialer{KeepAliveConfig: keepAlive}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, a.network(), a.address())
	if err != nil {
		return nil, err
	}
	return newKernelTransport(c)
}
