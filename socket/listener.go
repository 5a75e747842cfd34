package socket

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"relayd/lifetime"
)

// A Listener accepts connections at one address. It is a resource: accepted
// sockets are not its children, and live on after it.
type Listener struct {
	node lifetime.Node
	a    Address
	mu   sync.Mutex // guards ln as it is replaced, see AcceptOn
	ln   source
	file *unixFile                 // the socket file that is ours to remove
	stop atomic.Pointer[time.Time] // when Accept ends for good; nil before Stop

	tls   *tlsUse // nil: connections are plain
	inode uint64  // of the system's socket, for a Census; 0 if it has none

	woken errorOnce // why Accept was interrupted
}

// A source is where a listener has its connections from: the system's listener,
// or a single connection.
type source interface {
	accept() (transport, error)
	SetDeadline(time.Time) error
	Close() error
}

var listenerKind = lifetime.NewKind(lifetime.Hooks[Listener]{
	Name:      "listener",
	Interrupt: (*Listener).interrupt,
	Release:   (*Listener).release,
})

func (l *Listener) interrupt(cause error) {
	l.woken.set(cause)
	l.source().SetDeadline(past)
}

// source returns where l has its connections from by now, to whoever comes beside
// AcceptOn.
func (l *Listener) source() source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ln
}

// Listen opens a listener below parent, or as a root if parent is nil. A port
// of 0 takes a free one: see [Listener.Addr]. A stale Unix socket file, one that
// nobody listens on, is replaced; a live one is an error.
func Listen(ctx context.Context, a Address, parent *lifetime.Node) (*Listener, error) {
	l := &Listener{a: a}
	if err := l.listen(ctx); err != nil {
		return nil, &Error{Op: "listen", Local: a.String(), Err: reason(err)}
	}
	l.inode = inodeOfSource(l.ln)
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
type Incoming struct {
	t       transport
	program Address // if t is nil: started by Open
	from    string  // if it was accepted by a call of ours: t may not know any more
	// Of one that a loop has accepted:
	loop *Loop
	fd   int
	tcp  bool
}

// Open makes the connection a socket. The program of an exec: address is
// started now.
func (in Incoming) Open(at At) (*Socket, error) {
	if in.loop != nil {
		if at.In == nil {
			at.In = new(Socket)
		}
		in.loosen(&at.In.k)
		return open(&at.In.k, at)
	}
	if in.t == nil {
		return openExec(context.Background(), in.program, at)
	}
	return open(in.t, at)
}

// Loop returns the loop that has the connection, or nil if it was accepted
// without one.
func (in Incoming) Loop() *Loop { return in.loop }

// Refuse resets the connection.
func (in Incoming) Refuse() {
	if in.loop != nil {
		t := &kernelTransport{}
		in.loosen(t)
		in.t = t
	}
	if in.t != nil {
		in.t.disconnect()
		in.t.Close()
	}
}

// loosen makes t of what a loop has accepted.
func (in Incoming) loosen(t *kernelTransport) {
	t.loosen(in.fd, in.tcp)
	t.loop.Store(in.loop)
}

// RemoteAddr returns the address of who connected.
func (in Incoming) RemoteAddr() string {
	if in.from != "" {
		return in.from
	}
	if in.t == nil {
		return in.program.place()
	}
	return in.t.RemoteAddr().String()
}

// Accept waits for the next connection; a listener of one connection returns
// [net.ErrClosed] after that one. After a drop or a shutdown it returns
// that, and after [Listener.Stop] and the last connection of the backlog
// [net.ErrClosed]. An error for which [IsExhausted] holds may pass.
func (l *Listener) Accept() (Incoming, error) {
	if err := l.node.Enter(); err != nil {
		return Incoming{}, l.error(err)
	}
	defer l.node.Leave()
	t, from, err := l.accept()
	if err != nil {
		if own := ownEnd(&l.node, l.woken.get(), err); own == os.ErrDeadlineExceeded {
			err = net.ErrClosed
		} else if own != nil {
			err = own
		}
		return Incoming{}, l.error(err)
	}
	if t == nil {
		return Incoming{program: l.a}, nil
	}
	if k, ok := t.(*kernelTransport); ok && l.tls != nil {
		t = newTLSTransport(k, l.tls.tlsSide) // the handshake is for others: see Socket.Handshake
	}
	return Incoming{t: t, from: from}, nil
}

// accept is Accept of the source. It says from where the connection is if that may
// be forgotten.
func (l *Listener) accept() (t transport, from string, err error) {
	if l.stop.Load() == nil {
		t, err = l.ln.accept()
		if err == nil || l.stop.Load() == nil {
			return t, "", err
		} // Stop has woken us
	}
	k, ok := l.ln.(*kernelListener)
	if !ok || l.woken.get() != nil {
		t, err = l.ln.accept()
		return t, "", err
	}
	if time.Now().After(*l.stop.Load()) {
		return nil, "", net.ErrClosed
	}
	if t, from, err = k.acceptNow(); err != syscall.ENOSYS {
		return t, from, err
	}
	k.SetDeadline(time.Now().Add(backlogTime))
	t, err = k.accept()
	return t, "", err
}

// A listener that was stopped hands out what its backlog holds, which is there at
// once, but for no longer than backlogLimit, because new connections may come as
// fast as they are accepted. Where it cannot look without waiting it waits for
// backlogTime.
const (
	backlogTime  = 5 * time.Millisecond
	backlogLimit = time.Second
)

// Stop ends accepting: Accept hands out what the backlog holds, because closing
// would reset it, and then returns [net.ErrClosed].
func (l *Listener) Stop() {
	end := time.Now().Add(backlogLimit)
	l.stop.Store(&end)
	l.source().SetDeadline(past)
}

// Drop closes the listener and wakes Accept. The address is free afterwards, for
// [Listen] of this process at once.
func (l *Listener) Drop(ctx context.Context) error {
	_, err := l.node.Drop(ctx)
	return err
}

// release removes the socket file while the listener is still open, and closes it
// then: as long as it is open, no starting relayd takes the file for a dead
// one's and replaces it between our last look at it and our removing it, and its
// inode is not used again.
func (l *Listener) release() {
	if l.file != nil {
		l.file.remove()
	}
	l.ln.Close()
	if l.a.Kind == TCP || l.a.Kind == TLS {
		vacate(l.a.Port)
	}
	if l.tls != nil {
		l.tls.end()
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
	s, err := l.a.settings(listening)
	if err != nil {
		return err
	}
	switch l.a.Kind {
	case Unix:
		return l.listenUnix(ctx, &s)
	case FD:
		return l.listenFD(l.a.FD, false, &s)
	case Systemd:
		return l.listenSystemd(l.a.Path, &s)
	case Stdio:
		t, err := newStdio()
		l.ln = newOnce(t)
		return err
	case Exec:
		l.ln = newOnce(nil)
		return checkProgram(l.a.Path)
	}
	if l.a.Kind == TLS {
		if l.tls, err = newTLSUse(l.a, &s, listening); err != nil {
			return err
		}
	}
	err = l.listenTCP(ctx, &s)
	if err != nil && l.tls != nil {
		l.tls.end()
	}
	return err
}

func (l *Listener) listenTCP(ctx context.Context, s *settings) error {
	lc := net.ListenConfig{KeepAlive: -1, Control: s.control(listening)} // see dialKernel
	lc.SetMultipathTCP(s.mptcp)
	ln, err := bind(ctx, &lc, l.a)
	if err != nil {
		return err
	}
	k, err := newKernelListener(ln, s, true)
	if err != nil {
		return err
	}
	l.ln = k
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		l.a.Port = uint16(tcp.Port)
	}
	return nil
}
