package socket

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A tlsTransport is TLS over a connection of the system's. What is read is
// decrypted on the goroutine that reads; what is written is encrypted into an
// outbox, and goes from there to the system. So a Write that is interrupted has
// broken nothing: what the system has not taken stays in the outbox, and goes
// out before all else.
//
// The end of a direction is a close_notify, and the FIN after it. A FIN alone
// may be anybody's, and is an error: [ErrNoCloseNotify].
//
// Before the handshake nothing can be read or written. The first Read or Write
// does it if nobody has; one that fails, or is interrupted, fails for good.
type tlsTransport struct {
	*kernelTransport
	side *tlsSide

	early   pushback    // of a preface before the handshake, which reads it first
	begun   atomic.Bool // the handshake has
	shaking sync.Mutex  // held through the handshake; guards failed
	failed  error       // why there will be no TLS
	heard   bool        // something of it; who does the handshake has it
	up      atomic.Bool
	c       *tls.Conn // from the handshake on
	info    TLSInfo

	reading sync.Mutex   // held through a Read of c
	hasty   bool         // reading does not wait
	plain   outbox       // decrypted by ready, for the next Read
	aside   atomic.Int64 // how much that is

	writing sync.Mutex  // held through a Write: guards sending and bid
	sending outbox      // encrypted, on its way to the system
	bid     bool        // close_notify is in the outbox or out
	cut     atomic.Bool // cutFarewell
	mu      sync.Mutex  // guards out and mute
	out     outbox      // encrypted
	mute    bool        // close_notify was the last record: what package tls still answers is for nobody
	held    atomic.Int64
	parting atomic.Int64 // how many bytes the close_notify has
}

// tlsPiece is how many bytes are encrypted at once: with the overhead of the
// smallest records that package tls makes they fit into an outbox.
const tlsPiece = 32 << 10

func newTLSTransport(k *kernelTransport, side *tlsSide) *tlsTransport {
	return &tlsTransport{kernelTransport: k, side: side}
}

// errNotNow is what a read that does not wait meets when nothing is there. To
// package tls it is an error that passes.
var errNotNow = os.ErrDeadlineExceeded

// handshake does the handshake, unless it was done.
func (t *tlsTransport) handshake(ctx context.Context) error {
	if t.up.Load() {
		return nil
	}
	t.shaking.Lock()
	defer t.shaking.Unlock()
	if t.up.Load() || t.failed != nil {
		return t.failed
	}
	t.begun.Store(true)
	cfg, stale := t.side.config()
	if t.side.client {
		t.c = tls.Client(tlsWire{t}, cfg)
	} else {
		t.c = tls.Server(tlsWire{t}, cfg)
	}
	stop := context.AfterFunc(ctx, t.interrupt)
	err := t.c.Handshake()
	switch {
	case !stop():
		t.failed = &TLSError{"the handshake was not over in time", context.Cause(ctx)}
	case err != nil:
		t.failed = t.explain(err, true)
		if !t.heard && !t.side.client && IsReset(err) {
			t.failed = unspoken{t.failed}
		}
	default:
		t.info = infoOf(t.c.ConnectionState(), t.side.secret())
		t.info.Stale = stale
		t.up.Store(true)
	}
	return t.failed
}

// below is what a preface before the handshake reads.
func (t *tlsTransport) below() (transport, *pushback, bool) {
	return t.kernelTransport, &t.early, !t.begun.Load()
}

// interrupt ends the handshake: both directions are of use to it.
func (t *tlsTransport) interrupt() {
	t.kernelTransport.interruptRead()
	t.kernelTransport.interruptWrite()
}

func (t *tlsTransport) interruptRead() {
	t.kernelTransport.interruptRead()
	if !t.up.Load() {
		t.kernelTransport.interruptWrite()
	}
}

func (t *tlsTransport) interruptWrite() {
	t.kernelTransport.interruptWrite()
	if !t.up.Load() {
		t.kernelTransport.interruptRead()
	}
}

func (t *tlsTransport) Read(p []byte) (int, error) {
	if err := t.handshake(context.Background()); err != nil {
		return 0, err
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if left := t.plain.bytes(); len(left) > 0 {
		n := copy(p, left)
		t.plain.took(n)
		t.aside.Add(-int64(n))
		return n, nil
	}
	n, err := t.c.Read(p)
	switch {
	case n > 0 || err == nil:
		return n, nil // an error comes again
	case err == io.EOF:
		return 0, io.EOF // close_notify: tlsWire lets no other pass
	}
	return 0, t.explain(err, false)
}

// ready decrypts what is there, without waiting: not all that arrives is for the
// reader.
func (t *tlsTransport) ready() bool {
	if !t.up.Load() || !t.reading.TryLock() {
		return false
	}
	defer t.reading.Unlock()
	if len(t.plain.bytes()) > 0 {
		return true
	}
	t.hasty = true
	defer t.endHaste()
	b := buffers.get()
	n, err := t.c.Read(b[:])
	if n == 0 {
		buffers.put(b)
		return !isPassing(err) // an end comes again
	}
	t.plain = outbox{b, 0, n}
	t.aside.Store(int64(n))
	return true
}

func (t *tlsTransport) endHaste() { t.hasty = false }

// isPassing reports whether package tls goes on after err.
func isPassing(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// Write returns how many bytes were accepted: the system has them, or gets them
// before all that is written later.
func (t *tlsTransport) Write(b []byte) (n int, err error) {
	if err := t.handshake(context.Background()); err != nil {
		return 0, err
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	for {
		if err := t.flush(); err != nil || n == len(b) {
			return n, err
		}
		if err := t.mayWrite(); err != nil { // what is encrypted counts as written
			return n, err
		}
		m, err := t.c.Write(b[n:min(len(b), n+tlsPiece)])
		n += m
		if err != nil {
			return n, t.explain(err, false)
		}
	}
}

// writeNow encrypts what the system has room for. A last piece may stay in the
// outbox, for the next Write.
func (t *tlsTransport) writeNow(b []byte) (n int, err error) {
	if !t.up.Load() || !t.writing.TryLock() {
		return 0, nil
	}
	defer t.writing.Unlock()
	for n < len(b) && t.push() {
		m, err := t.c.Write(b[n:min(len(b), n+tlsPiece)])
		n += m
		if err != nil {
			return n, t.explain(err, false)
		}
	}
	t.push()
	return n, nil
}

// mayWrite returns why a Write would not begin to wait: a deadline is past, or the
// half was interrupted.
func (t *tlsTransport) mayWrite() error {
	p, err := t.park()
	if err != nil {
		return err
	}
	return p.raw.Write(nothing)
}

func nothing(uintptr) bool { return true }

// flush waits until the system has all that is encrypted. t.writing is held.
func (t *tlsTransport) flush() error {
	for t.load() {
		n, err := t.kernelTransport.Write(t.sending.bytes())
		t.sent(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// push is flush without waiting: it reports whether the system has all.
// t.writing is held.
func (t *tlsTransport) push() bool {
	for t.load() {
		n, errno := 0, error(net.ErrClosed)
		t.control(func(fd int) { n, errno = unix.Write(fd, t.sending.bytes()) })
		if errno == syscall.EINTR {
			continue
		}
		if errno != nil {
			return false // a Write or a Read will meet it
		}
		t.sent(n)
	}
	return true
}

// load takes from the outbox what is to be sent next. It reports whether there is
// anything.
func (t *tlsTransport) load() bool {
	if len(t.sending.bytes()) == 0 {
		t.mu.Lock()
		t.sending, t.out = t.out, outbox{}
		t.mu.Unlock()
	}
	return len(t.sending.bytes()) > 0
}

func (t *tlsTransport) sent(n int) {
	t.sending.took(n)
	t.held.Add(-int64(n))
}

// A farewell is a transport whose direction ends with more than a FIN, for which
// the system may have no room now.
type farewell interface {
	bidFarewell() bool   // without waiting; reports whether it is done
	waitFarewell() error // for room
	cutFarewell()        // ends that wait, and every later one
}

// bidFarewell says close_notify, after all that was written.
func (t *tlsTransport) bidFarewell() bool {
	if !t.up.Load() {
		return true // there is nobody to say it to
	}
	if !t.writing.TryLock() {
		return false
	}
	defer t.writing.Unlock()
	t.notify()
	return t.push()
}

// waitFarewell does what bidFarewell has begun. No Write is inside: a deadline of
// the user's, or an interrupt that came too late for a Write, is not meant.
func (t *tlsTransport) waitFarewell() error {
	if !t.up.Load() {
		return nil
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	t.resumeWrite()
	if t.cut.Load() {
		return os.ErrDeadlineExceeded
	}
	t.notify()
	return t.flush()
}

func (t *tlsTransport) cutFarewell() {
	t.cut.Store(true)
	t.interruptWrite()
}

// notify puts close_notify into the outbox. t.writing is held.
func (t *tlsTransport) notify() {
	if !t.bid {
		t.bid = true
		before := t.held.Load()
		t.c.CloseWrite()
		t.parting.Store(t.held.Load() - before)
		t.mu.Lock()
		t.mute = true
		t.mu.Unlock()
	}
}

// CloseWrite sends FIN, but none that would cut the stream.
func (t *tlsTransport) CloseWrite() error {
	if !t.bidFarewell() {
		t.disconnect()
		return net.ErrClosed
	}
	return t.kernelTransport.CloseWrite()
}

// Close closes the descriptor, and gives the buffers back. No operation is
// inside.
func (t *tlsTransport) Close() error {
	t.plain.took(len(t.plain.bytes()))
	t.sending.took(len(t.sending.bytes()))
	t.out.took(len(t.out.bytes()))
	return t.kernelTransport.Close()
}

// unsent counts what is encrypted and not sent too, but no close_notify that the
// system has: nothing is lost with it, and many a peer has closed when it comes.
func (t *tlsTransport) unsent() int {
	return max(0, t.kernelTransport.unsent()-int(t.parting.Load())) + int(t.held.Load())
}

// vanished: an end that was read is the peer's own word, whatever has become of
// the connection since.
func (t *tlsTransport) vanished() bool { return false }

// kernelOf returns the connection of the system's that t is, or is made of, or
// nil. What it carries is not for others if t is more than that.
func kernelOf(t transport) *kernelTransport {
	switch t := t.(type) {
	case *kernelTransport:
		return t
	case *tlsTransport:
		return t.kernelTransport
	}
	return nil
}
