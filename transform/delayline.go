package transform

// A delayLine is what a delay stage's bytes wait in: the body of its filter,
// whose feeder reads the source ahead.

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"relayd/transform/internal/filter"
)

// pieceCost is what a piece in the line counts beside its bytes: about what it
// takes to keep one, so that many small ones are bounded as well.
const pieceCost = 96

type delayLine struct {
	delay, jitter time.Duration
	queue         int
	random        *rand.Rand // the feeder's

	// There is one writer and one reader; a token is left for who may wait.
	put   chan struct{}
	taken chan struct{}
	once  sync.Once
	kill  chan struct{} // closed by Kill

	mu     sync.Mutex
	pieces []piece // those on their way, the oldest first
	held   int     // what they count
	last   time.Time
	closed bool // nothing more comes after the last piece, which is the end
}

// A piece is bytes as they were read at once. The end is a piece without bytes.
type piece struct {
	due   time.Time
	bytes []byte
}

func newDelayLine(delay, jitter time.Duration, queue int, random *rand.Rand) *delayLine {
	return &delayLine{
		delay: delay, jitter: jitter, queue: queue, random: random,
		put: make(chan struct{}, 1), taken: make(chan struct{}, 1), kill: make(chan struct{}),
	}
}

// Write puts a copy of p into the line, and waits before that while it is full.
func (d *delayLine) Write(p []byte) (int, error) {
	for !d.room() {
		select {
		case <-d.taken:
		case <-d.kill:
			return 0, filter.ErrCut
		}
	}
	if !d.add(append([]byte(nil), p...)) {
		return 0, filter.ErrCut
	}
	return len(p), nil
}

func (d *delayLine) room() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held < d.queue || d.closed
}

// add appends a piece, which is due in the delay, but not before the one before
// it. It reports whether the line was open.
func (d *delayLine) add(bytes []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	after := d.delay
	if d.jitter > 0 {
		after += time.Duration(d.random.Int64N(2*int64(d.jitter)+1)) - d.jitter
	}
	if due := time.Now().Add(after); due.After(d.last) {
		d.last = due
	}
	d.pieces = append(d.pieces, piece{d.last, bytes})
	d.held += len(bytes) + pieceCost
	d.closed = len(bytes) == 0
	leave(d.put)
	return true
}

// CloseWrite puts the end into the line. It may be called by the reader, which
// does not read on then.
func (d *delayLine) CloseWrite() error {
	d.add(nil)
	leave(d.taken)
	return nil
}

// Fail lets what was read before the failure arrive, and then the failure.
func (d *delayLine) Fail(error) { d.add(nil) }

// Read waits until something has arrived, and returns all that has.
func (d *delayLine) Read(p []byte) (int, error) {
	for {
		n, wait, err := d.arrived(p)
		if n > 0 || err != nil {
			return n, err
		}
		if err := d.await(wait); err != nil {
			return 0, err
		}
	}
}

// arrived takes the bytes that are due. If there are none, it returns the time
// until there will be some; below 0 if there is nothing on its way.
func (d *delayLine) arrived(p []byte) (n int, wait time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = -1
	now := time.Now()
	for len(d.pieces) > 0 && n < len(p) {
		first := &d.pieces[0]
		if first.due.After(now) {
			wait = first.due.Sub(now)
			break
		}
		if len(first.bytes) == 0 { // the end stays
			err = io.EOF
			break
		}
		k := copy(p[n:], first.bytes)
		n += k
		first.bytes = first.bytes[k:]
		d.held -= k
		if len(first.bytes) == 0 {
			d.held -= pieceCost
			d.shift()
		}
	}
	if n > 0 {
		leave(d.taken)
		return n, 0, nil
	}
	return 0, wait, err
}

// shift takes the first piece away. An empty line holds no memory.
func (d *delayLine) shift() {
	d.pieces[0] = piece{}
	if d.pieces = d.pieces[1:]; len(d.pieces) == 0 {
		d.pieces = nil
	}
}

// await waits until the time has passed, or if that is below 0 until something
// is put in.
func (d *delayLine) await(wait time.Duration) error {
	if wait < 0 {
		select {
		case <-d.put:
			return nil
		case <-d.kill:
			return filter.ErrCut
		}
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-d.kill:
		return filter.ErrCut
	}
}

// Kill ends every wait. What is on its way is lost.
func (d *delayLine) Kill() { d.once.Do(func() { close(d.kill) }) }

// Wait has nothing to wait for.
func (d *delayLine) Wait() error { return nil }

// leave leaves a token for who waits, or will.
func leave(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
