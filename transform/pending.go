package transform

// Pending is output that a stage has made and nobody has read yet. Its buffer
// is borrowed while there is any, so an idle stream holds none.

import (
	"slices"
	"sync"
)

const (
	// minPending is room for the output of an ordinary small message.
	minPending = 4 << 10

	// maxPending bounds what a stage may have pending, but for a stage with
	// an option for it. It is on the stages to keep to it, by the size of the
	// pieces that they take in. It is a zstd block that does not compress, and
	// a piece behind it.
	maxPending = 164 << 10

	// maxSpare is the largest buffer that is kept for another stream, which may
	// need no more than minPending.
	maxSpare = 256 << 10
)

var buffers = sync.Pool{
	New: func() any {
		b := make([]byte, 0, minPending)
		return &b
	},
}

// borrow returns an empty buffer. It may grow before it is given back.
func borrow() *[]byte { return buffers.Get().(*[]byte) }

func giveBack(b *[]byte) {
	if cap(*b) <= maxSpare {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

type pending struct {
	buf *[]byte // nil if there is nothing in it
	off int     // (*buf)[:off] has been read
}

// Len returns how many bytes wait to be read.
func (o *pending) Len() int {
	if o.buf == nil {
		return 0
	}
	return len(*o.buf) - o.off
}

// Write adds a copy of p. It always succeeds.
func (o *pending) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if o.buf == nil {
		o.buf = borrow()
	}
	*o.buf = append(*o.buf, p...)
	return len(p), nil
}

// space returns n bytes to write to, of which fill says how many were used.
// There must be nothing pending.
func (o *pending) space(n int) []byte {
	if o.buf == nil {
		o.buf = borrow()
	}
	*o.buf = slices.Grow(*o.buf, n)
	return (*o.buf)[:n]
}

// fill makes the first n bytes of space pending.
func (o *pending) fill(n int) {
	if n == 0 {
		o.drop()
		return
	}
	*o.buf = (*o.buf)[:n]
}

// take moves bytes to p, and gives the buffer back with the last of them.
func (o *pending) take(p []byte) int {
	if o.buf == nil {
		return 0
	}
	n := copy(p, (*o.buf)[o.off:])
	o.off += n
	if o.Len() == 0 {
		o.drop()
	}
	return n
}

// drop forgets what is pending.
func (o *pending) drop() {
	if o.buf != nil {
		giveBack(o.buf)
	}
	*o = pending{}
}
