package transform

// A source is what a stage reads from: the reader before it, with the loose
// ends of io.Reader tied up, and with a memory of how it ended.

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Readier is implemented by readers that know whether bytes are at hand.
type Readier interface {
	// Ready reports whether a Read now would return without waiting, be it
	// with bytes, with io.EOF or with an error. False means "it may wait".
	Ready() bool
}

// Waiter is implemented by readers that can be waited for with a bound. A stage
// that holds something dear for its stream asks it when to let go.
type Waiter interface {
	// Wait waits until a Read would not, but no longer than d. It returns false
	// if d has passed and nothing has come. True may also mean that the
	// reader cannot tell: the next Read waits.
	Wait(d time.Duration) bool
}

// maxEmptyReads is how many reads of nothing in a row make io.ErrNoProgress.
const maxEmptyReads = 100

var errSourceCount = errors.New("source returned an invalid count from Read")

type source struct {
	r     io.Reader
	ready Readier // r, if it is one
	wait  Waiter  // r, if it is one
	site  *Site   // never nil

	n    atomic.Int64 // bytes read so far
	next error        // came together with bytes, is due at the next Read
	err  error        // how the source ended, once a Read has said so

	// ended is set after err: a stage may read on a goroutine of its own.
	ended atomic.Bool
}

func (s *source) reset(r io.Reader, site *Site) {
	s.r, s.site, s.next, s.err = r, site, nil, nil
	s.n.Store(0)
	s.ended.Store(false)
	s.ready, _ = r.(Readier)
	s.wait, _ = r.(Waiter)
}

// Read returns bytes or an error, never both and, for a p with room, never
// neither. So a source that failed has failed when err is set, and a stage
// cannot lose the bytes that came along with an error.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.next != nil {
		return 0, s.end(s.next)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for range maxEmptyReads {
		n, err := s.r.Read(p)
		if n < 0 || n > len(p) {
			n, err = 0, errSourceCount
		}
		s.n.Add(int64(n))
		if n > 0 {
			s.next = err
			return n, nil
		}
		if err != nil {
			return 0, s.end(err)
		}
	}
	return 0, s.end(io.ErrNoProgress)
}

// end notes how the source ended.
func (s *source) end(err error) error {
	s.err = err
	s.ended.Store(true)
	return err
}

// Ready makes a source a Readier, whatever r is.
func (s *source) Ready() bool {
	return s.atEnd() || s.ready != nil && s.ready.Ready()
}

// atEnd reports whether the next Read returns the end, or an error, at once.
func (s *source) atEnd() bool { return s.err != nil || s.next != nil }

// Wait makes a source a Waiter, whatever r is.
func (s *source) Wait(d time.Duration) bool {
	return s.wait == nil || s.Ready() || s.wait.Wait(d)
}

// failed reports whether a Read has returned an error other than the end.
func (s *source) failed() bool { return s.ended.Load() && s.err != io.EOF }
