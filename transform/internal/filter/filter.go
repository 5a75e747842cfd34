// Package filter is the part that the stages have in common that give their
// bytes to somebody else and get others back: a program, a WebAssembly module.
//
//	        the feeder's goroutine              whoever reads the stage
//	src ────────────────────────► Body ────────────────────────► Read
//	     Read              Write        Read
//
// The body takes and gives as it likes, so there is no pulling the input through
// it: a goroutine, the feeder, pushes.
//
// The feeder reads ahead of what the stage is asked for, and no further than
// the body takes. While the body takes nothing, the source is not read, and
// cannot wake anybody by failing: [Filter.Cut] can. What comes when the body
// takes no more input for good is thrown away, until its output has ended.
package filter

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A Body is what the bytes go through. Write, CloseWrite and Fail are called by
// the feeder, Read and Wait by whoever reads the filter, Kill by anybody.
type Body interface {
	// Write takes all of p, or fails: then it takes nothing more, ever.
	io.Writer
	// CloseWrite ends the input. It may also be called during a Write, which
	// then fails.
	CloseWrite() error
	// Fail ends the input because the source has failed. The body gives what
	// comes of what it was given before, and ends soon.
	Fail(err error)
	// Read gives output. Its error, io.EOF or another, is for good.
	io.Reader
	// Kill ends the body now. A Write and a Read return.
	Kill()
	// Wait waits until the body has ended after its output, for which it has
	// some time, or was killed, and until all that it held is freed. It
	// returns how it ended if that was badly, and not because of Kill or Fail.
	// Later calls return the same.
	Wait() error
}

// ErrCut is the error of a filter whose body was killed by Cut.
var ErrCut error = cutError{}

type cutError struct{}

func (cutError) Error() string        { return "the chain was cut" }
func (cutError) Is(target error) bool { return target == net.ErrClosed }

var errPanic = errors.New("the source panicked")

const (
	// Chunk is how many bytes are read from the source at once.
	Chunk = 32 << 10

	// smallRead is how many bytes are read from the body when fewer are asked
	// for.
	smallRead = 4 << 10
)

// A Filter is the working end of a stage. Read, Ready and Close belong to one
// goroutine.
type Filter struct {
	src   io.Reader
	start func() (Body, error)

	out  []byte // output that nobody has taken yet, in room
	room []byte

	mu   sync.Mutex
	body Body // nil before the first Read
	cut  bool

	fed      chan struct{} // closed when the feeder has left; nil before the first Read
	ending   atomic.Bool   // the feeder is about to leave
	over     atomic.Bool   // the output has ended, or is not wanted any more
	enough   atomic.Bool   // see Enough
	failure  error         // the source's, once fed is closed
	panicked any           // the source's, once fed is closed
}

// New returns a filter of what is read from src. The body is started by the
// first Read.
func New(src io.Reader, start func() (Body, error)) *Filter {
	return &Filter{src: src, start: start}
}

// Read returns output as soon as there is any. At the end it waits for the body
// to have ended, too, and returns how: io.EOF if all is well.
func (f *Filter) Read(p []byte) (int, error) {
	if len(f.out) > 0 {
		return f.take(p), nil
	}
	if f.fed == nil {
		if err := f.begin(); err != nil {
			return 0, err
		}
	}
	to := p
	if len(p) < smallRead {
		if f.room == nil {
			f.room = make([]byte, smallRead)
		}
		to = f.room
	}
	n, err := f.body.Read(to)
	if n == 0 && err != nil {
		return 0, f.conclude(err)
	}
	if len(p) < smallRead {
		f.out = f.room[:n]
		n = f.take(p)
	}
	return n, nil
}

func (f *Filter) take(p []byte) int {
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n
}

// Ready reports whether output is here. What the body has in hand is not known.
func (f *Filter) Ready() bool { return len(f.out) > 0 }

// begin starts the body and the feeder.
func (f *Filter) begin() error {
	if f.isCut() {
		return ErrCut
	}
	body, err := f.start()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.body = body
	cut := f.cut
	f.mu.Unlock()
	if cut {
		body.Kill()
	}
	f.fed = make(chan struct{})
	go f.feed()
	return nil
}

// conclude returns how the stream ends whose output has ended with err.
func (f *Filter) conclude(err error) error {
	f.over.Store(true)
	f.body.CloseWrite()
	bad := f.body.Wait()
	if f.ending.Load() {
		<-f.fed
		if f.panicked != nil {
			panic(f.panicked)
		}
		if f.failure != nil {
			return f.failure
		}
	}
	switch {
	case f.isCut():
		return ErrCut
	case bad != nil:
		return bad
	}
	return err
}

// Cut kills the body, if there is one, and makes Read fail. Any goroutine may
// call it. It does not wait.
func (f *Filter) Cut() {
	f.mu.Lock()
	f.cut = true
	body := f.body
	f.mu.Unlock()
	if body != nil {
		body.Kill()
	}
}

func (f *Filter) isCut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// Close kills the body and waits for it, and for the feeder: the source has
// failed, or is about to.
func (f *Filter) Close() error {
	if f.fed == nil {
		return nil
	}
	f.over.Store(true)
	f.body.Kill()
	f.body.Wait()
	<-f.fed
	return nil
}
