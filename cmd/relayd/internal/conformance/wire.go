package conformance

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
)

// A wire is the connection of a model: two queues of bytes, and the ends that a
// connection can have. It behaves as a TCP connection does: what has arrived is
// read before a reset is, and an end that was sent is not taken back.
type wire struct {
	mu      sync.Mutex
	changed sync.Cond

	up, down  []byte // from the peer, and to it
	peerFin   bool
	fin       bool // ours
	reset     bool
	closed    bool // our side is released
	noReader  bool // what the peer sends is thrown away
	expired   bool // the cell's time is up
	discarded int
}

// wireLimit is how much each queue holds: the rest of a write waits.
const wireLimit = 64 << 10

func newWire(ctx context.Context) *wire {
	w := &wire{}
	w.changed.L = &w.mu
	context.AfterFunc(ctx, w.expire)
	return w
}

func (w *wire) expire() { w.set(&w.expired) }

// set makes a condition true and wakes everybody.
func (w *wire) set(condition *bool) {
	w.mu.Lock()
	*condition = true
	w.mu.Unlock()
	w.changed.Broadcast()
}

// finish sends our end, unless the connection was reset.
func (w *wire) finish() {
	w.mu.Lock()
	w.fin = w.fin || !w.reset
	w.mu.Unlock()
	w.changed.Broadcast()
}

// wake makes an interrupt's cause known, and the first one counts.
func (w *wire) wake(woken *error, cause error) {
	w.mu.Lock()
	if *woken == nil {
		*woken = cause
	}
	w.mu.Unlock()
	w.changed.Broadcast()
}

// take reads from a queue, and waits while it is empty and end returns nil.
func (w *wire) take(queue *[]byte, p []byte, end func() error) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.expired {
			return 0, os.ErrDeadlineExceeded
		}
		if n := copy(p, *queue); n > 0 {
			*queue = (*queue)[n:]
			w.changed.Broadcast()
			return n, nil
		}
		if err := end(); err != nil {
			return 0, err
		}
		w.changed.Wait()
	}
}

// put writes to a queue, and waits while it is full and end returns nil.
func (w *wire) put(queue *[]byte, p []byte, end func() error) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if err := end(); err != nil {
			return n, err
		}
		if w.expired {
			return n, os.ErrDeadlineExceeded
		}
		if queue == &w.up && w.noReader {
			w.discarded += len(p) - n
			return len(p), nil
		}
		if m := min(wireLimit-len(*queue), len(p)-n); m > 0 {
			*queue = append(*queue, p[n:n+m]...)
			n += m
			w.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		w.changed.Wait()
	}
}

// A wirePeer is the far end of a wire.
type wirePeer struct{ w *wire }

func (p wirePeer) Read(b []byte) (int, error) {
	return p.w.take(&p.w.down, b, p.readEnd)
}

func (p wirePeer) readEnd() error {
	switch {
	case p.w.fin:
		return io.EOF
	case p.w.reset:
		return syscall.ECONNRESET
	}
	return nil
}

func (p wirePeer) Write(b []byte) (int, error) {
	return p.w.put(&p.w.up, b, p.writeEnd)
}

func (p wirePeer) writeEnd() error {
	if p.w.reset || p.w.closed || p.w.peerFin {
		return syscall.EPIPE
	}
	return nil
}

func (p wirePeer) CloseWrite() error { p.w.set(&p.w.peerFin); return nil }
func (p wirePeer) Close() error      { p.w.set(&p.w.peerFin); return nil }
func (p wirePeer) reset()            { p.w.set(&p.w.reset) }
