package config

import (
	"errors"
	"fmt"

	"relayd/transform"
)

// A tunnel is two relays: the near end wraps what it sends up, and the far end
// unwraps it; down it goes the other way. Both are given the same list. The
// stages of up and down stand on the plain side of it, where a limit counts what
// the programs mean, or at the wire, where it counts what travels.

// What is wrong with a route's tunnel, beside a TunnelError.
var (
	ErrBothEnds = errors.New("wrap and unwrap are the two ends of a tunnel, and this is one route")
	ErrNoTunnel = errors.New("wire is a side of a tunnel, and there is neither wrap nor unwrap")
)

// A TunnelError is that a list of stages cannot be undone.
type TunnelError struct {
	Key  string // wrap or unwrap
	List transform.Chain
	Err  error
}

func (e *TunnelError) Error() string { return fmt.Sprintf("%s: %v", show(e.List.String()), e.Err) }

// Unwrap returns e.Err.
func (e *TunnelError) Unwrap() error { return e.Err }

// Chains returns the stages of both directions, those of bandwidth and of a
// tunnel included. The former come first: they are about what is received.
func (r *Route) Chains() (up, down transform.Chain, err error) {
	up, down, err = r.tunnelled()
	if err != nil {
		return nil, nil, err
	}
	b := &r.Bandwidth
	if up, err = limited(up, b.Conn.Up, b.Source.Up, b.Route.Up); err != nil {
		return nil, nil, err
	}
	down, err = limited(down, b.Conn.Down, b.Source.Down, b.Route.Down)
	return up, down, err
}

// limited puts limits in front of a chain.
func limited(c transform.Chain, conn, source, route Size) (transform.Chain, error) {
	var limits transform.Chain
	for _, x := range []struct {
		rate  Size
		scope string
	}{{conn, "conn"}, {source, "source"}, {route, "route"}} {
		if x.rate == 0 {
			continue
		}
		s, err := transform.ParseStage(fmt.Sprintf("limit:%d,scope=%s", x.rate, x.scope))
		if err != nil {
			return nil, err
		}
		limits = append(limits, s)
	}
	return append(limits, c...), nil
}

// tunnelled returns the stages but for those of bandwidth.
func (r *Route) tunnelled() (up, down transform.Chain, err error) {
	up, down = join(r.Up), join(r.Down)
	at := string(r.At)
	switch {
	case len(r.Wrap) > 0 && len(r.Unwrap) > 0:
		return nil, nil, ErrBothEnds
	case len(r.Wrap)+len(r.Unwrap) > 0:
	case at == transform.Wire:
		return nil, nil, ErrNoTunnel
	default:
		return up, down, nil
	}
	name, list := "wrap", join(r.Wrap)
	if len(r.Unwrap) > 0 {
		name, list = "unwrap", join(r.Unwrap)
	}
	encode, decode, err := list.Tunnel()
	switch {
	case err != nil:
		return nil, nil, &TunnelError{Key: name, List: list, Err: err}
	case name == "wrap":
		return up.Beside(at, encode), down.Beside(at, decode), nil
	}
	return up.Beside(at, decode), down.Beside(at, encode), nil
}

func join(list []Stages) transform.Chain {
	var c transform.Chain
	for _, s := range list {
		c = append(c, s.Chain...)
	}
	return c
}
