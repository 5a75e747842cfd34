package transform

// A lossy copy is written by a goroutine of its own, out of a queue. The queue is
// bounded; what it has no room for is left out. The stream never waits for it:
// not for its dialling, not for a write, and not at its end.
//
// So the copy outlives the stage, a little. It is a resource below the conn,
// which is not over before the copy is, and whose shutdown ends it at once.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"relayd/lifetime"
)

const (
	teeChunk = 32 << 10
	// teeQueue is how many chunks wait; one more is being written.
	teeQueue = 8
)

type teeBuffer struct {
	n int
	b [teeChunk]byte
}

var teeBuffers = sync.Pool{New: func() any { return new(teeBuffer) }}

// A lossyTee is the stage's side.
type lossyTee struct {
	to   *receiver
	copy *lossyCopy
}

func (t *lossyTee) begin() error {
	c := &lossyCopy{to: t.to}
	c.more.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(context.Background())
	err := copyKind.Init(c, t.to.site.Owner, lifetime.Refcount)
	if err != nil {
		c.cancel()
		return err
	}
	// The copying is one operation of the resource, which is not released
	// before it has left.
	if err := c.Enter(); err != nil {
		c.cancel()
		c.BeginDrop()
		return err
	}
	go c.run()
	t.copy = c
	return nil
}

func (t *lossyTee) see(p []byte) error {
	t.copy.add(p)
	return nil
}

func (t *lossyTee) end(error) { t.copy.end() }

var copyKind = lifetime.NewKind(lifetime.Hooks[lossyCopy]{
	Name:      "tee",
	Interrupt: (*lossyCopy).interrupt,
})

// A lossyCopy is the goroutine's side.
type lossyCopy struct {
	lifetime.Node
	to     *receiver
	ctx    context.Context // of the dialling
	cancel context.CancelFunc

	mu      sync.Mutex
	more    sync.Cond // something below has changed
	queue   [teeQueue]*teeBuffer
	first   int
	waiting int         // buffers in the queue, from first on
	ended   bool        // there will be no more
	tried   bool        // to has a sink, or will have none
	open    bool        // it has
	drops   bool        // the drop waits for that
	cut     bool        // nothing more is to be written
	linger  *time.Timer // cuts it, some time after the end
	err     error       // how it failed
	copied  int64
	left    int64 // bytes that were left out
	late    bool  // it was said that some were
}

// add puts a copy of p into the queue, as far as there is room.
func (c *lossyCopy) add(p []byte) {
	c.mu.Lock()
	for len(p) > 0 && c.err == nil && !c.cut {
		b := c.room()
		if b == nil {
			break
		}
		n := copy(b.b[b.n:], p)
		b.n += n
		p = p[n:]
	}
	c.more.Signal()
	c.left += int64(len(p))
	say := len(p) > 0 && !c.late && c.err == nil
	c.late = c.late || say
	c.mu.Unlock()
	if say {
		c.to.site.say(slog.LevelWarn, "copy is behind: bytes are left out", "to", c.to.name())
	}
}

// room returns the queue's last buffer, or a new one if that is full; nil if the
// queue is full.
func (c *lossyCopy) room() *teeBuffer {
	if c.waiting > 0 {
		if b := c.queue[(c.first+c.waiting-1)%teeQueue]; b.n < len(b.b) {
			return b
		}
	}
	if c.waiting == teeQueue {
		return nil
	}
	b := teeBuffers.Get().(*teeBuffer)
	b.n = 0
	c.queue[(c.first+c.waiting)%teeQueue] = b
	c.waiting++
	return b
}

// next waits for a buffer. It returns nil at the end.
func (c *lossyCopy) next() *teeBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.waiting == 0 && !c.ended && !c.cut {
		c.more.Wait()
	}
	if c.waiting == 0 || c.cut {
		return nil
	}
	b := c.queue[c.first]
	c.queue[c.first] = nil
	c.first = (c.first + 1) % teeQueue
	c.waiting--
	return b
}

// run is the copy's life.
func (c *lossyCopy) run() {
	defer c.Leave()
	defer c.cancel()
	err := c.connect()
	if err == nil {
		err = c.copyAll()
	}
	c.finish(err)
}

// connect opens the receiver. What that makes is the copy's, which a short stream
// must not have dropped before.
func (c *lossyCopy) connect() error {
	err := c.to.open(c.ctx, &c.Node)
	c.mu.Lock()
	c.tried = true
	drops := c.drops
	c.mu.Unlock()
	if drops {
		c.BeginDrop()
	}
	return err
}

func (c *lossyCopy) copyAll() error {
	c.mu.Lock()
	c.open = true
	cut := c.cut
	c.mu.Unlock()
	if cut {
		c.to.wake()
	}
	for b := c.next(); b != nil; b = c.next() {
		n, err := c.to.write(b.b[:b.n])
		c.mu.Lock()
		c.copied += int64(n)
		c.left += int64(b.n - n)
		c.mu.Unlock()
		teeBuffers.Put(b)
		if err != nil {
			c.to.close()
			return err
		}
	}
	return c.to.close()
}

// finish waits for the stream's end, if the copy has failed before, and says what
// has become of it.
func (c *lossyCopy) finish(err error) {
	c.mu.Lock()
	if c.cut {
		err = nil // by us
	}
	c.err = err
	c.forget()
	say := err != nil && !c.ended
	c.mu.Unlock()
	if say {
		c.to.site.say(slog.LevelWarn, "copy has failed", "to", c.to.name(), "err", err)
	}
	c.mu.Lock()
	for !c.ended && !c.cut {
		c.more.Wait()
	}
	c.forget()
	if c.linger != nil {
		c.linger.Stop()
	}
	copied, left := c.copied, c.left
	c.mu.Unlock()
	if left == 0 && err == nil {
		return
	}
	args := []any{"to", c.to.name(), "copied", copied, "left_out", left}
	if err != nil {
		args = append(args, "err", err)
	}
	c.to.site.say(slog.LevelWarn, "copy is not whole", args...)
}

// forget counts what is in the queue as left out, under mu.
func (c *lossyCopy) forget() {
	for ; c.waiting > 0; c.waiting-- {
		b := c.queue[c.first]
		c.queue[c.first] = nil
		c.first = (c.first + 1) % teeQueue
		c.left += int64(b.n)
		teeBuffers.Put(b)
	}
}

// end is the stream's end: what is in the queue is written if that does not take
// too long.
func (c *lossyCopy) end() {
	c.mu.Lock()
	c.ended = true
	if !c.cut {
		c.linger = time.AfterFunc(teeLinger, c.stop)
	}
	c.drops = !c.tried && c.mayOutlive()
	later := c.drops
	c.more.Broadcast()
	c.mu.Unlock()
	if !later {
		c.BeginDrop()
	}
}

// mayOutlive reports whether the conn can be dropped before the copy is. Under
// [lifetime.Trap] that would be a misuse: then what has not connected by the end
// of its stream is left out.
func (c *lossyCopy) mayOutlive() bool {
	o := c.to.site.Owner
	return o == nil || o.Policy() != lifetime.Trap
}

// interrupt stops the copy, if the end is not the stage's own drop: that leaves
// it the time to finish.
func (c *lossyCopy) interrupt(cause error) {
	if !errors.Is(cause, lifetime.ErrDropped) {
		c.stop()
	}
}

// stop cuts the copy at once. Any goroutine may call it.
func (c *lossyCopy) stop() {
	c.cancel()
	c.mu.Lock()
	first := !c.cut
	c.cut = true
	open := c.open
	c.more.Broadcast()
	c.mu.Unlock()
	if first && open {
		c.to.wake()
	}
}
