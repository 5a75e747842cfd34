package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// A reader is the read half of a connection, of whatever kind.
type reader interface {
	io.Reader
	Resource() *lifetime.Node
	Drop(ctx context.Context) error
}

// A writer is the write half of a connection, of whatever kind.
type writer interface {
	io.Writer
	Resource() *lifetime.Node
	Drop(ctx context.Context) error
	Abort()
}

// A peer is the far end of a connection.
type peer interface {
	io.ReadWriter
	CloseWrite() error
	Close() error
	reset()
}

// A link is one connection under test: the parent, how to get its halves, and
// the far end.
type link struct {
	p        *lifetime.Node
	receive  func() (reader, error)
	send     func() (writer, error)
	shutdown func(context.Context, error) (socket.Report, error)
	peer     peer
	conn     net.Conn       // ours; nil for a model, and when the socket accepted it
	sock     *socket.Socket // nil for a model
	model    *model         // nil for a socket
}

// A netPeer is the far end of a socket.
type netPeer struct{ net.Conn }

func (p netPeer) CloseWrite() error {
	return p.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// reset breaks the connection off, where the kind can.
func (p netPeer) reset() {
	c := p.Conn
	if secure, ok := c.(tlsPeer); ok {
		c = secure.raw // without a word
	}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// connect makes a connection of the cell's kind, whose parent has the policy.
func (c *cell) connect(policy lifetime.Policy) (*link, error) {
	if c.kind == library {
		m, err := newModel(c.ctx, &c.root.Node, policy)
		if err != nil {
			return nil, err
		}
		return &link{
			p: &m.Node, model: m, peer: wirePeer{m.wire},
			receive: m.receive, send: m.send, shutdown: m.shutdown,
		}, nil
	}
	ours, theirs, err := c.pair()
	if err != nil {
		return nil, err
	}
	at := socket.At{Parent: &c.root.Node, Policy: policy}
	if c.kind == tlsKind {
		return c.connectTLS(ours, theirs, at)
	}
	s, err := socket.FromConn(ours, at)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	return linkOf(s, ours, theirs), nil
}

// linkOf describes a socket and its far end.
func linkOf(s *socket.Socket, ours, theirs net.Conn) *link {
	return &link{
		p: s.Resource(), sock: s, conn: ours, peer: netPeer{theirs},
		receive: func() (reader, error) {
			r, err := s.Receive()
			if err != nil {
				return nil, err
			}
			return r, nil
		},
		send: func() (writer, error) {
			w, err := s.Send()
			if err != nil {
				return nil, err
			}
			return w, nil
		},
		shutdown: s.Shutdown,
	}
}

// pair makes two connected sockets, over a listener that the cell keeps.
func (c *cell) pair() (ours, theirs net.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener == nil {
		if c.listener, err = c.listen(); err != nil {
			return nil, nil, err
		}
	}
	if theirs, err = c.dialNet(c.listener.Addr().Network(), c.listener.Addr().String()); err != nil {
		return nil, nil, err
	}
	if ours, err = c.listener.Accept(); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// dial connects to a listener of relayd's as anybody would.
func (c *cell) dial(a socket.Address) (net.Conn, error) {
	if a.Kind == socket.Unix {
		return c.dialNet("unix", a.Path)
	}
	return c.dialNet("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
}

// dialNet connects, and bounds every wait of the connection.
func (c *cell) dialNet(network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	conn, err := d.DialContext(c.ctx, network, address)
	if err != nil {
		return nil, err
	}
	if end, ok := c.ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	return conn, nil
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// listen opens the cell's listener.
func (c *cell) listen() (net.Listener, error) {
	var lc net.ListenConfig
	switch c.kind {
	case tcp4, tlsKind:
		return lc.Listen(c.ctx, "tcp4", "127.0.0.1:0")
	case tcp6:
		return lc.Listen(c.ctx, "tcp6", "[::1]:0")
	}
	path, err := c.socketPath()
	if err != nil {
		return nil, err
	}
	return lc.Listen(c.ctx, "unix", path)
}

// socketPath returns a path for a Unix socket, in a folder that the cell removes.
func (c *cell) socketPath() (string, error) {
	if c.folder == "" {
		dir, err := os.MkdirTemp("", "relayd-conformance-")
		if err != nil {
			return "", err
		}
		c.folder = dir
	}
	c.paths++
	return filepath.Join(c.folder, strconv.Itoa(c.paths)), nil
}

// address returns where a relayd listener of the cell's kind listens.
func (c *cell) address() (socket.Address, error) {
	switch c.kind {
	case tcp4:
		return socket.ParseAddress("tcp://127.0.0.1:0")
	case tcp6:
		return socket.ParseAddress("tcp://[::1]:0")
	case tlsKind:
		return c.tlsAddress()
	}
	path, err := c.socketPath()
	if err != nil {
		return socket.Address{}, err
	}
	return socket.ParseAddress("unix://" + path)
}

// released says what is wrong with a link that should be gone, or nil: the
// resources say so, and the descriptor is closed.
func (l *link) released() error {
	if s := l.p.State(); s != lifetime.Released {
		return fmt.Errorf("the parent is %v, not released", s)
	}
	if l.model != nil {
		return l.model.releasedOnce()
	}
	if l.conn == nil {
		return nil
	}
	if err := l.conn.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("the descriptor is open after the release (%v)", err)
	}
	return nil
}

// releasedOnce checks that each resource of a model was released once.
func (m *model) releasedOnce() error {
	counts := []struct {
		name string
		n    *lifetime.Node
		got  int32
	}{
		{"P", &m.Node, m.releases.Load()},
		{"R", &m.r.Node, m.r.releases.Load()},
		{"W", &m.w.Node, m.w.releases.Load()},
	}
	for _, c := range counts {
		if born := c.n.ID() != 0; born && c.got != 1 || !born && c.got != 0 {
			return fmt.Errorf("%s was released %d times", c.name, c.got)
		}
	}
	return nil
}
