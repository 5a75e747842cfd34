package socket

import "context"

// Dial connects to a and puts the socket into the tree. It waits until the
// connection stands or ctx ends; several addresses of one name are tried as
// package net does. The halves of an echo or a discard are ready at once. A
// program is started; fd: and stdio: can be dialled once. Of a tls: address the
// handshake is over, see [Socket.Handshake].
func Dial(ctx context.Context, a Address, at At) (*Socket, error) {
	return (&Dialer{a: a}).Dial(ctx, at)
}

// reach dials an address of any kind but exec, and leaves out the tree. side, of a
// dialer, saves reading the files of TLS.
func reach(ctx context.Context, a Address, side *tlsSide, u *underway) (t transport, err error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	s, err := a.settings(dialling)
	if err != nil {
		return nil, err
	}
	switch a.Kind {
	case Echo, Discard:
		return newMemoryTransport(a.Kind), nil
	case Stdio:
		t, err = newStdio()
	case FD:
		t, err = dialFD(a.FD, &s)
	case TLS:
		t, err = dialTLS(ctx, a, &s, side, u)
	default:
		t, err = dialKernel(ctx, a, &s, u)
	}
	if err != nil {
		return nil, err // and not a transport that is a nil pointer
	}
	return t, nil
}

// dialTLS connects and does the handshake.
func dialTLS(ctx context.Context, a Address, s *settings, side *tlsSide, u *underway) (transport, error) {
	if side == nil {
		var err error
		if side, err = newTLSSide(a, s, dialling); err != nil {
			return nil, err
		}
	}
	k, err := dialKernel(ctx, a, s, u)
	if err != nil {
		return nil, err
	}
	t := newTLSTransport(k, side)
	if err := t.handshake(ctx); err != nil {
		k.CloseWrite() // after the alert
		k.Close()
		return nil, err
	}
	return t, nil
}
