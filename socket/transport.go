package socket

import (
	"net"
	"sync"
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
	unsent() int    // bytes that were written and that the peer has not taken
}

// A pool of buffers of bufferSize bytes.
type bufferPool struct{ p sync.Pool }

const bufferSize = 64 << 10

type buffer [bufferSize]byte

var buffers = bufferPool{sync.Pool{New: newBuffer}}

func newBuffer() any { return new(buffer) }

func (b *bufferPool) get() *buffer  { return b.p.Get().(*buffer) }
func (b *bufferPool) put(v *buffer) { b.p.Put(v) }
