package socket

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"relayd/lifetime"
)

// A Listener accepts connections at one address. It is a resource: accepted
// sockets are not its children, and live on after it.
type Listener struct {
	node lifetime.Node
	a    Address
	ln   netListener
	file *unixFile                 // the socket file that is ours to remove
	stop atomic.Pointer[time.Time] // when Accept ends for good; nil before Stop
}

// A netListener is what *net.TCPListener and *net.UnixListener have in common.
type netListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

var listenerKind = lifetime.NewKind(lifetime.Hooks[Listener]{
	Name:      "listener",
	Interrupt: func(l *Listener, _ error) { l.ln.SetDeadline(past) },
	Release:   (*Listener).release,
})

// keepAlive finds peers that are gone without a word: 30s idle, then a probe
// each 10s, three without an answer.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// Listen opens a listener below parent, or as a root if parent is nil. A port
// of 0 takes a free one: see [Listener.Addr]. A stale Unix socket file, one that
// nobody listens on, is replaced; a live one is an error.
func Listen(ctx context.Context, a Address, parent *lifetime.Node) (*Listener, error) {
	l := &Listener{a: a}
	if err := l.listen(ctx); err != nil {
		return nil, &Error{Op: "listen", Local: a.String(), Err: reason(err)}
	}
	if err := listenerKind.Init(l, parent, lifetime.Refcount); err != nil {
		l.release()
		return nil, &Error{Op: "listen", Local: a.String(), Err: err}
	}
	return l, nil
}

// Addr returns the address that is listened on, with the port that was taken.
func (l *Listener) Addr() Address { return l.a }

// Resource returns the listener's place in the tree.
func (l *Listener) Resource() *lifetime.Node { return &l.node }

// An Incoming is a connection that was accepted and that nobody owns yet. Call
// Open or Refuse, once.
type Incoming struct{ t *kernelTransport }

// Open makes the connection a socket.
func (in Incoming) Open(at At) (*Socket, error) { return open(in.t, at) }

// Refuse resets the connection.
func (in Incoming) Refuse() {
	in.t.disconnect()
	in.t.Close()
}

// RemoteAddr returns the address of who connected.
func (in Incoming) RemoteAddr() string { return in.t.RemoteAddr().String() }

// Accept waits for the next connection. After a drop or a shutdown it returns
// that, and after [Listener.Stop] and the last connection of the backlog
// [net.ErrClosed]. An error for which [IsExhausted] holds may pass.
func (l *Listener) Accept() (Incoming, error) {
	if err := l.node.Enter(); err != nil {
		return Incoming{}, l.error(err)
	}
	defer l.node.Leave()
	if stop := l.stop.Load(); stop != nil && time.Now().Before(*stop) {
		l.ln.SetDeadline(time.Now().Add(backlogTime))
	}
	c, err := l.ln.Accept()
	if err != nil {
		if own := ownEnd(&l.node, err); own == os.ErrDeadlineExceeded {
			err = net.ErrClosed
		} else if own != nil {
			err = own
		}
		return Incoming{}, l.error(err)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetKeepAliveConfig(keepAlive)
	}
	t, err := newKernelTransport(c)
	if err != nil {
		return Incoming{}, l.error(err)
	}
	return Incoming{t}, nil
}

// backlogTime is how long Accept waits on a listener that was stopped: what the
// backlog holds is there at once. While there is something it goes on, up to
// backlogLimit, because new connections may come as fast as they are accepted.
const (
	backlogTime  = 5 * time.Millisecond
	backlogLimit = time.Second
)

// Stop ends accepting: Accept hands out what the backlog holds, because closing
// would reset it, and then returns [net.ErrClosed].
func (l *Listener) Stop() {
	end := time.Now().Add(backlogLimit)
	l.stop.Store(&end)
	l.ln.SetDeadline(time.Now().Add(backlogTime))
}

// Drop closes the listener and wakes Accept. The address is free afterwards.
func (l *Listener) Drop(ctx context.Context) error {
	_, err := l.node.Drop(ctx)
	return err
}

func (l *Listener) release() {
	l.ln.Close()
	if l.file != nil {
		l.file.remove()
	}
}

func (l *Listener) error(err error) error {
	return &Error{Op: "accept", Local: l.a.String(), Err: reason(err)}
}

// listen opens the system's listener.
func (l *Listener) listen(ctx context.Context) error {
	if err := l.a.Listenable(); err != nil {
		return err
	}
	if l.a.Kind == Unix {
		return l.listenUnix(ctx)
	}
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, l.a.network(), l.a.address())
	if err != nil {
		return err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return errors.ErrUnsupported
	}
	l.ln = tcp
	l.a.Port = uint16(tcp.Addr().(*net.TCPAddr).Port)
	return nil
}
