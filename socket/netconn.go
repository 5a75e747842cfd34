package socket

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"relayd/lifetime"
)

// A Conn is a socket as a net.Conn, for code that knows no halves: it owns the
// socket and both of them. It has CloseRead and CloseWrite, as *net.TCPConn
// does.
type Conn struct {
	s *Socket
	r *ReadHalf
	w *WriteHalf

	closed atomic.Bool
}

// NewConn takes both halves of s. It fails if one of them is taken; s is then
// as before, but for the half that was not.
func NewConn(s *Socket) (*Conn, error) {
	r, err := s.Receive()
	if err != nil {
		return nil, err
	}
	w, err := s.Send()
	if err != nil {
		r.node.BeginDrop()
		return nil, err
	}
	return &Conn{s: s, r: r, w: w}, nil
}

// Read reads from the read half.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write writes to the write half.
func (c *Conn) Write(p []byte) (int, error) { return c.w.Write(p) }

// CloseRead drops the read half; see [ReadHalf.Drop].
func (c *Conn) CloseRead() error { return c.half("close", &c.r.node) }

// CloseWrite drops the write half, which sends FIN.
func (c *Conn) CloseWrite() error { return c.half("close", &c.w.node) }

// Close drops whatever was not dropped yet, and returns: operations are woken,
// FIN follows what was written, and the socket drains in its own time.
func (c *Conn) Close() error {
	if c.closed.Swap(true) { // the peer sees the end before the first call is through
		return c.s.error("close", lifetime.ErrDropped)
	}
	c.r.node.BeginDrop()
	c.w.node.BeginDrop()
	return c.half("close", &c.s.node)
}

func (c *Conn) half(op string, n *lifetime.Node) error {
	if _, err := n.BeginDrop(); err != nil {
		return c.s.error(op, err)
	}
	return nil
}

// Socket returns the socket that c is a view of.
func (c *Conn) Socket() *Socket { return c.s }

// LocalAddr returns our address.
func (c *Conn) LocalAddr() net.Addr { return c.s.t.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.s.t.RemoteAddr() }

// SetDeadline bounds Read and Write, or what is left of the two after CloseRead or
// CloseWrite; see [net.Conn]. Sockets of memory have no deadlines:
// os.ErrNoDeadline.
func (c *Conn) SetDeadline(d time.Time) error {
	rerr, werr := c.SetReadDeadline(d), c.SetWriteDeadline(d)
	switch {
	case errors.Is(rerr, lifetime.ErrDropped):
		return werr
	case rerr != nil || errors.Is(werr, lifetime.ErrDropped):
		return rerr
	}
	return werr
}

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(d time.Time) error {
	return c.deadline(&c.r.node, c.s.t.SetReadDeadline, d)
}

// SetWriteDeadline bounds Write. A Write that it ends may have written a part.
func (c *Conn) SetWriteDeadline(d time.Time) error {
	return c.deadline(&c.w.node, c.s.t.SetWriteDeadline, d)
}

// deadline sets one, as an operation of the half.
func (c *Conn) deadline(n *lifetime.Node, set func(time.Time) error, d time.Time) error {
	if err := n.Enter(); err != nil {
		return c.s.error("set deadline", err)
	}
	defer n.Leave()
	return set(d)
}

// FromConn makes a socket of any net.Conn, which it owns from then on, also
// when it fails. Connections of the system's (*net.TCPConn, *net.UnixConn) have
// all that a socket has. Others have what their methods give: without CloseWrite
// the write half's drop can only close both directions, and without a reset an
// abort is a close.
func FromConn(c net.Conn, at At) (*Socket, error) {
	var t transport = &foreignTransport{Conn: c}
	if nc, ok := c.(netConn); ok {
		k, err := newKernelTransport(nc)
		if err != nil {
			return nil, &Error{Op: "open", Err: err}
		}
		t = k
	}
	return open(t, at)
}

// FromTLS makes a socket of the kind tls of a TCP connection, which it owns from
// then on, also when it fails: the server's side, as the address says, which is
// one to listen at. It is as one that was accepted there: see [Socket.Handshake].
func FromTLS(c net.Conn, server Address, at At) (*Socket, error) {
	t, err := serverTransport(c, server)
	if err != nil {
		c.Close()
		return nil, &Error{Op: "open", Err: reason(err)}
	}
	return open(t, at)
}

func serverTransport(c net.Conn, server Address) (transport, error) {
	nc, ok := c.(*net.TCPConn)
	if !ok || server.Kind != TLS {
		return nil, &AddressError{server.String(), "TLS from a connection takes TCP and a tls:// address"}
	}
	s, err := server.settings(listening)
	if err != nil {
		return nil, err
	}
	side, err := newTLSSide(server, &s, listening)
	if err != nil {
		return nil, err
	}
	k, err := newKernelTransport(nc)
	if err != nil {
		return nil, err
	}
	return newTLSTransport(k, side), nil
}

// A foreignTransport is somebody else's net.Conn.
type foreignTransport struct {
	net.Conn
	deadlines deadlines
}

func (t *foreignTransport) CloseRead() error { return nil }

func (t *foreignTransport) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Conn.Close()
}

func (t *foreignTransport) SetReadDeadline(d time.Time) error {
	return t.deadlines.set(&t.deadlines.read, t.Conn.SetReadDeadline, d)
}

func (t *foreignTransport) SetWriteDeadline(d time.Time) error {
	return t.deadlines.set(&t.deadlines.write, t.Conn.SetWriteDeadline, d)
}

func (t *foreignTransport) interruptRead() {
	t.deadlines.expire(&t.deadlines.read, t.Conn.SetReadDeadline)
}

func (t *foreignTransport) resumeRead() {
	t.deadlines.resume(&t.deadlines.read, t.Conn.SetReadDeadline)
}

func (t *foreignTransport) interruptWrite() {
	t.deadlines.expire(&t.deadlines.write, t.Conn.SetWriteDeadline)
}

func (t *foreignTransport) disconnect()    { t.Conn.Close() }
func (t *foreignTransport) ready() bool    { return false }
func (t *foreignTransport) drains() bool   { return false }
func (t *foreignTransport) vanished() bool { return false }
func (t *foreignTransport) unsent() int    { return 0 }
