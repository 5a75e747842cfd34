package relay

import (
	"context"
	"errors"
	"fmt"
	"io"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// copyPlace is that of a socket that a stage writes a copy to.
var copyPlace = socket.NewPlace("copy")

// errNoAddress is what is wrong with one that nobody is to read.
var errNoAddress = errors.New("what it copies to is not an address that can be dialled")

// CheckChains says what is wrong with addresses that stages copy to, which is known
// before a conn needs them: [Start], Reload and edits refuse such chains.
func CheckChains(chains ...transform.Chain) error {
	for _, chain := range chains {
		for _, s := range chain {
			for _, address := range s.Needs().Dial {
				if _, err := socket.ParseAddress(address); err != nil {
					if s.IsHidden() {
						err = errNoAddress
					}
					return fmt.Errorf("stage %s: %w", s, err)
				}
			}
		}
	}
	return nil
}

// dialCopy connects a stage to an address. What the other side sends is thrown
// away. The socket stands below a resource of the conn's, or the conn itself,
// which is not over before it has drained, and
// its policy is always refcount, whatever the route's: who closes it means it.
func (c *conn) dialCopy(ctx context.Context, below *lifetime.Node, address string) (io.WriteCloser, error) {
	a, err := socket.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if a.Kind == socket.Exec {
		a.Shown = "exec://" + a.Path // the arguments may be hidden, and are the stage's to show
	}
	at := c.path.Load().route.at
	at.Parent, at.Place, at.Policy, at.Stderr = below, copyPlace, lifetime.Refcount, c.stderr
	s, err := socket.Dial(ctx, a, at)
	if err != nil {
		return nil, err
	}
	conn, err := socket.NewConn(s)
	if err != nil {
		s.Resource().BeginDrop()
		return nil, err
	}
	conn.CloseRead()
	return conn, nil
}
