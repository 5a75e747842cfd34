package relay

import (
	"context"
	"io"

	"relayd/lifetime"
	"relayd/socket"
)

// copyPlace is that of a socket that a stage writes a copy to.
var copyPlace = socket.NewPlace("copy")

// dialCopy connects a stage to an address. What the other side sends is thrown
// away. The socket stands below a resource of the conn's, or the conn itself,
// which is not over before it has drained, and
// its policy is always refcount, whatever the route's: who closes it means it.
func (c *conn) dialCopy(ctx context.Context, below *lifetime.Node, address string) (io.WriteCloser, error) {
	a, err := socket.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	at := c.server().at
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
