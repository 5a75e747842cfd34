package filter

import (
	"io"
	"sync"
)

var chunks = sync.Pool{New: func() any { return new([Chunk]byte) }}

// feed gives the body its input, until the source's end or the output's.
func (f *Filter) feed() {
	defer close(f.fed)
	defer f.recovered()
	buf := chunks.Get().(*[Chunk]byte)
	defer chunks.Put(buf)
	for wanted := true; !f.over.Load(); {
		n, err := f.src.Read(buf[:])
		if n > 0 && wanted {
			_, failed := f.body.Write(buf[:n])
			wanted = failed == nil
		}
		if !wanted || err != nil && f.over.Load() {
			f.enough.Store(true)
		}
		switch err {
		case nil:
			continue
		case io.EOF:
			f.ending.Store(true)
			f.body.CloseWrite()
		default:
			f.failure = err
			f.ending.Store(true)
			f.body.Fail(err)
		}
		return
	}
}

// Enough reports whether the body has had enough before the source's end: something
// was thrown away, or its output had ended.
func (f *Filter) Enough() bool { return f.enough.Load() }

// recovered keeps a panic of the source for the goroutine that reads.
func (f *Filter) recovered() {
	if v := recover(); v != nil {
		f.panicked = v
		f.ending.Store(true)
		f.body.Fail(errPanic)
	}
}
