package socket

import "context"

// Dial connects to a and puts the socket into the tree. It waits until the
// connection stands or ctx ends; several addresses of one name are tried as
// package net does. The halves of an echo or a discard are ready at once. A
// program is started; fd: and stdio: can be dialled once.
func Dial(ctx context.Context, a Address, at At) (*Socket, error) {
	s, err := dial(ctx, a, at)
	if err != nil {
		return nil, &Error{Op: "dial", Remote: a.String(), Err: reason(err)}
	}
	return s, nil
}

func dial(ctx context.Context, a Address, at At) (*Socket, error) {
	if err := a.Dialable(); err != nil {
		return nil, err
	}
	s, err := a.settings(dialling)
	if err != nil {
		return nil, err
	}
	var t transport
	switch a.Kind {
	case Echo, Discard:
		t = newMemoryTransport(a.Kind)
	case Exec:
		return openExec(ctx, a, at)
	case Stdio:
		t, err = newStdio()
	case FD:
		t, err = dialFD(a.FD, &s)
	default:
		t, err = dialKernel(ctx, a, &s)
	}
	if err != nil {
		return nil, err
	}
	return open(t, at)
}
