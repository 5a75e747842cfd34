package socket

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// A transport is what a socket is made of: a connection of the system's, or
// memory. Its operations wait; one that is interrupted returns an error at
// once, and so does every later one.
type transport interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	CloseRead() error
	CloseWrite() error
	Close() error
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error

	interruptRead()
	resumeRead() // after interruptRead, when every Read has left
	interruptWrite()
	disconnect()    // end both directions at once, with a reset where the kind can
	ready() bool    // a Read would not wait
	drains() bool   // unread bytes turn Close into a reset
	vanished() bool // the system has lost the connection without a close of ours
	queues() (unread, unsent int)
}

// A netConn is what *net.TCPConn and *net.UnixConn have in common.
type netConn interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

// A kernelTransport is a connection of the system's, on the runtime's poller.
// The runtime's lock of the descriptor guards its number: whoever is inside raw
// has it, and nobody else closes it.
type kernelTransport struct {
	netConn
	raw       syscall.RawConn
	tcp       bool
	deadlines deadlines
}

func newKernelTransport(c net.Conn) (*kernelTransport, error) {
	nc, ok := c.(netConn)
	if !ok {
		c.Close()
		return nil, syscall.ESOCKTNOSUPPORT
	}
	raw, err := nc.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	_, tcp := c.(*net.TCPConn)
	return &kernelTransport{netConn: nc, raw: raw, tcp: tcp}, nil
}

// SetReadDeadline and SetWriteDeadline are the user's; see deadlines.

func (t *kernelTransport) SetReadDeadline(d time.Time) error {
	return t.deadlines.set(&t.deadlines.read, t.netConn.SetReadDeadline, d)
}

func (t *kernelTransport) SetWriteDeadline(d time.Time) error {
	return t.deadlines.set(&t.deadlines.write, t.netConn.SetWriteDeadline, d)
}

func (t *kernelTransport) interruptRead() {
	t.deadlines.expire(&t.deadlines.read, t.netConn.SetReadDeadline)
}

func (t *kernelTransport) resumeRead() {
	t.deadlines.resume(&t.deadlines.read, t.netConn.SetReadDeadline)
}

func (t *kernelTransport) interruptWrite() {
	t.deadlines.expire(&t.deadlines.write, t.netConn.SetWriteDeadline)
}

func (t *kernelTransport) drains() bool { return true }

// disconnect ends the connection through every copy of the descriptor, in this
// process and in others: TCP with a reset, a Unix socket with an end.
func (t *kernelTransport) disconnect() {
	if !t.tcp {
		t.CloseRead()
		t.CloseWrite()
		return
	}
	err := syscall.ENOTSUP
	t.raw.Control(func(fd uintptr) { err = disconnectTCP(int(fd)) })
	if err != 0 {
		// Second best: close(2) of the last copy will reset.
		t.netConn.(*net.TCPConn).SetLinger(0)
	}
}

// ready asks the kernel whether anything has arrived.
func (t *kernelTransport) ready() bool {
	unread, _ := t.queues()
	return unread > 0
}

// queues returns how many bytes have arrived and were not read, and how many
// were written and not acknowledged; 0 where the system cannot tell.
func (t *kernelTransport) queues() (unread, unsent int) {
	t.raw.Control(func(fd uintptr) { unread, unsent = queues(int(fd)) })
	return unread, unsent
}

// vanished reports whether the kernel has no connection any more, although
// nobody here has closed it: it was reset.
func (t *kernelTransport) vanished() (gone bool) {
	if t.tcp {
		t.raw.Control(func(fd uintptr) { gone = closedTCP(int(fd)) })
	}
	return gone
}

// A pool of buffers of bufferSize bytes.
type bufferPool struct{ p sync.Pool }

const bufferSize = 64 << 10

type buffer [bufferSize]byte

var buffers = bufferPool{sync.Pool{New: newBuffer}}

func newBuffer() any { return new(buffer) }

func (b *bufferPool) get() *buffer  { return b.p.Get().(*buffer) }
func (b *bufferPool) put(v *buffer) { b.p.Put(v) }
