// A pattern is what streams carry: bytes that depend on their position.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
)

const (
	// period is after how many bytes a pattern repeats. It is not a multiple of
	// the size of a page, buffer or pipe: what a relay may lose or send twice.
	period = 64<<10 + 4099

	// window is the most that is looked at in one piece.
	window = 128 << 10
)

// A pattern is its bytes for one period and one window, so that there is a
// window in one piece at any position.
type pattern []byte

// The two directions have patterns of their own: an echo is not an answer.
var (
	upwards   = sync.OnceValue(func() pattern { return newPattern(1) })
	downwards = sync.OnceValue(func() pattern { return newPattern(2) })
)

func newPattern(seed uint64) pattern {
	p := make(pattern, period+window)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range period {
		p[i] = byte(random.Uint32())
	}
	copy(p[period:], p)
	copy(p[2*period:], p)
	return p
}

// at returns the n bytes at a position, n at most a window.
func (p pattern) at(pos int64, n int) []byte {
	from := pos % period
	return p[from : from+int64(n)]
}

// A corruptError says that a stream is not what was sent.
type corruptError struct{ pos int64 }

func (e *corruptError) Error() string {
	return fmt.Sprintf("byte %d is not the one that was sent", e.pos)
}

// check compares bytes with those at a position.
func (p pattern) check(got []byte, pos int64) error {
	for len(got) > 0 {
		n := min(len(got), window)
		want := p.at(pos, n)
		if !bytes.Equal(got[:n], want) {
			i := 0
			for got[i] == want[i] {
				i++
			}
			return &corruptError{pos + int64(i)}
		}
		got, pos = got[n:], pos+int64(n)
	}
	return nil
}

// write writes the n bytes at a position.
func (p pattern) write(w io.Writer, pos int64, n int) error {
	for n > 0 {
		piece := min(n, window)
		if _, err := w.Write(p.at(pos, piece)); err != nil {
			return err
		}
		n, pos = n-piece, pos+int64(piece)
	}
	return nil
}

// read reads the n bytes at a position, by way of buf. It returns io.EOF only if
// the stream ends before the first of them.
func (p pattern) read(r io.Reader, buf []byte, pos int64, n int) error {
	for left := n; left > 0; {
		got, err := r.Read(buf[:min(left, len(buf))])
		if e := p.check(buf[:got], pos); e != nil {
			return e
		}
		pos, left = pos+int64(got), left-got
		if err != nil && left > 0 {
			if errors.Is(err, io.EOF) && left < n {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
