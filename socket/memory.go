package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A memoryTransport is an upstream that lives in the process: what is written
// to an echo comes back, what is written to a discard does not. The reader's
// end follows the writer's.
type memoryTransport struct {
	kind Kind

	mu       sync.Mutex
	changed  sync.Cond
	data     []byte // written and not read, at most memoryLimit
	writing  bool   // somebody's Write waits for room: others queue
	finished bool   // CloseWrite
	closed   bool
	noRead   bool // interrupted
	noWrite  bool
	nudges   [2]bool // reading and writing: woken for now
}

// memoryLimit is how much an echo holds while its client does not read.
const memoryLimit = 64 << 10

func newMemoryTransport(k Kind) *memoryTransport {
	t := &memoryTransport{kind: k}
	t.changed.L = &t.mu
	return t
}

func (t *memoryTransport) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.closed:
			return 0, net.ErrClosed
		case t.noRead, t.nudges[0]:
			return 0, os.ErrDeadlineExceeded
		case len(t.data) > 0:
			n := copy(p, t.data)
			t.data = t.data[:copy(t.data, t.data[n:])]
			if len(t.data) == 0 {
				t.data = nil // an idle echo holds no buffer
			}
			t.changed.Broadcast()
			return n, nil
		case t.finished:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		t.changed.Wait()
	}
}

func (t *memoryTransport) Write(p []byte) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.writing {
		t.changed.Wait()
	}
	t.writing = true
	defer t.written()
	for {
		switch {
		case t.closed:
			return n, net.ErrClosed
		case t.finished:
			return n, syscall.EPIPE
		case t.noWrite, t.nudges[1]:
			return n, os.ErrDeadlineExceeded
		case t.kind == Discard:
			return len(p), nil
		}
		if room := memoryLimit - len(t.data); room > 0 {
			m := min(room, len(p)-n)
			t.data = append(t.data, p[n:n+m]...)
			n += m
			t.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		t.changed.Wait()
	}
}

// written lets the next Write begin. t.mu is held.
func (t *memoryTransport) written() {
	t.writing = false
	t.changed.Broadcast()
}

// set changes one of the conditions and wakes everybody.
func (t *memoryTransport) set(condition *bool) {
	t.mu.Lock()
	*condition = true
	t.mu.Unlock()
	t.changed.Broadcast()
}

func (t *memoryTransport) CloseWrite() error { t.set(&t.finished); return nil }
func (t *memoryTransport) Close() error      { t.set(&t.closed); return nil }
func (t *memoryTransport) CloseRead() error  { return nil }
func (t *memoryTransport) disconnect()       { t.set(&t.closed) }
func (t *memoryTransport) vanished() bool    { return false }
func (t *memoryTransport) interruptRead()    { t.set(&t.noRead) }
func (t *memoryTransport) interruptWrite()   { t.set(&t.noWrite) }
func (t *memoryTransport) drains() bool      { return false }

// resumeRead takes an interruptRead back.
func (t *memoryTransport) resumeRead() {
	t.mu.Lock()
	t.noRead = false
	t.mu.Unlock()
}

func (t *memoryTransport) nudge(d direction) { t.set(t.nudgeOf(d)) }

func (t *memoryTransport) steady(d direction) {
	t.mu.Lock()
	*t.nudgeOf(d) = false
	t.mu.Unlock()
}

func (t *memoryTransport) nudgeOf(d direction) *bool {
	if d == reading {
		return &t.nudges[0]
	}
	return &t.nudges[1]
}

// unsent: what an echo holds was not lost, it is the reader's.
func (t *memoryTransport) unsent() int { return 0 }

func (t *memoryTransport) ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.data) > 0 || t.finished
}

func (t *memoryTransport) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (t *memoryTransport) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func (t *memoryTransport) LocalAddr() net.Addr  { return memoryAddr{} }
func (t *memoryTransport) RemoteAddr() net.Addr { return memoryAddr{t.kind} }

// A memoryAddr is the address of a transport without one.
type memoryAddr struct{ kind Kind }

func (memoryAddr) Network() string { return "memory" }

func (a memoryAddr) String() string {
	if a.kind == 0 {
		return ""
	}
	return a.kind.String() + ":"
}
