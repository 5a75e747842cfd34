package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tlsWire is the connection as package tls sees it. Package tls takes the end of
// TCP between two records for the end of the stream: here it is an error, so that
// the only io.EOF is that of a close_notify. Nothing that package tls writes
// after the handshake waits, because a Read may write too: an answer to a key
// update.
type tlsWire struct{ t *tlsTransport }

// errFlood ends a peer that asks for more answers than it reads.
var errFlood = errors.New("the peer asks for key updates and does not read the answers")

func (w tlsWire) Read(b []byte) (n int, err error) {
	t := w.t
	if n := t.early.take(b); n > 0 {
		w.hears()
		return n, nil
	}
	if t.up.Load() && t.held.Load() > 0 && t.writing.TryLock() {
		t.push()
		t.writing.Unlock()
	}
	if t.hasty {
		n, err = t.readNow(b)
	} else {
		n, err = t.kernelTransport.Read(b)
	}
	switch {
	case err == nil:
		w.hears()
		return n, nil
	case err == io.EOF:
		return n, ErrNoCloseNotify
	}
	return n, reason(err) // package tls goes on after a deadline only if it is bare
}

// hears notes that the peer has said something of its handshake.
func (w tlsWire) hears() {
	if !w.t.up.Load() {
		w.t.heard = true
	}
}

// readNow reads what has arrived.
func (t *tlsTransport) readNow(b []byte) (n int, err error) {
	err = net.ErrClosed
	t.control(func(fd int) { n, err = unix.Read(fd, b) })
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return 0, errNotNow
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (w tlsWire) Write(b []byte) (int, error) {
	t := w.t
	if !t.up.Load() {
		return t.kernelTransport.Write(b)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mute {
		return len(b), nil
	}
	if !t.out.add(b) {
		return 0, errFlood
	}
	t.held.Add(int64(len(b)))
	return len(b), nil
}

func (w tlsWire) LocalAddr() net.Addr  { return w.t.kernelTransport.LocalAddr() }
func (w tlsWire) RemoteAddr() net.Addr { return w.t.kernelTransport.RemoteAddr() }

// The connection and its deadlines are the transport's.

func (tlsWire) Close() error                     { return nil }
func (tlsWire) SetDeadline(time.Time) error      { return nil }
func (tlsWire) SetReadDeadline(time.Time) error  { return nil }
func (tlsWire) SetWriteDeadline(time.Time) error { return nil }
