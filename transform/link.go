package transform

// A link is a stage at work in a chain. It keeps the promises that all stages
// have in common, so that the stages themselves need not: errors are sticky
// and name the stage, a failed source is never a clean end, a panic is an
// error, Close happens once.
//
// Toward the stage it promises that Read is not called again after it returned
// an error or panicked, nor with an empty buffer, and that Close is called
// once.

import (
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"
)

var (
	errStageCount = errors.New("stage returned an invalid count from Read")
	errNoReader   = errors.New("no reader was returned")
)

// An opener puts a stage on a source.
type opener func(src *source) io.ReadCloser

type link struct {
	name  string
	text  string // as it is written
	src   source
	stage io.ReadCloser // nil if it could not be opened; then err says why

	out  atomic.Int64 // bytes that it has given
	last atomic.Int64 // when it gave some, by the clock of epoch; 0 if never

	err      error // what every further Read returns
	closed   bool
	closeErr error // what every further close returns
}

// start opens the stage on src. A stage that cannot be opened fails in its
// first Read: whoever pumps has one place for errors, not two.
func (l *link) start(s Stage, src io.Reader, at *Site) {
	if s.open == nil {
		panic("transform: open of a zero Stage")
	}
	l.name, l.text = s.name, s.String()
	l.src.reset(src, at)
	defer l.recovered("open", &l.err)
	l.stage = s.open(&l.src)
	if l.stage == nil {
		l.err = &Error{l.name, "open", errNoReader}
	}
}

func (l *link) Read(p []byte) (n int, err error) {
	if l.err == nil && l.closed {
		l.err = &Error{l.name, "read", ErrClosed}
	}
	if l.err != nil {
		return 0, l.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	defer l.recovered("read", &err)
	k, err := l.stage.Read(p)
	if k < 0 || k > len(p) {
		k, err = 0, errStageCount
	}
	if k > 0 {
		l.out.Add(int64(k))
		l.last.Store(int64(time.Since(epoch)))
	}
	if err == nil {
		return k, nil
	}
	l.err = l.verdict(err)
	if k > 0 { // bytes first; the error is next
		return k, nil
	}
	return 0, l.err
}

// verdict is what the reader is told when the stage ended with err. Once the
// source has failed, whatever the stage makes of it is a consequence: the
// source's error is the one that counts, also if the stage calls it an end.
func (l *link) verdict(err error) error {
	switch {
	case l.src.failed():
		return l.src.err
	case err == io.EOF:
		return io.EOF
	}
	return &Error{l.name, "read", err}
}

// Ready reports whether a Read would not wait.
func (l *link) Ready() bool {
	if l.err != nil || l.closed {
		return true
	}
	r, ok := l.stage.(Readier)
	if !ok {
		return false
	}
	var err error // after a panic: not ready, and the next Read says why
	defer l.recovered("read", &err)
	return r.Ready()
}

// Wait waits, no longer than d, until a Read would not. Of a stage that is no
// Waiter it returns true at once.
func (l *link) Wait(d time.Duration) (comes bool) {
	if l.err != nil || l.closed {
		return true
	}
	w, ok := l.stage.(Waiter)
	if !ok {
		return true
	}
	var err error // after a panic the next Read says why
	defer func() { comes = comes || err != nil }()
	defer l.recovered("read", &err)
	return w.Wait(d)
}

// close closes the stage, once. Later calls return what the first returned.
func (l *link) close() error {
	if l.closed {
		return l.closeErr
	}
	l.closed = true
	if l.stage != nil {
		l.closeErr = l.closeStage()
	}
	return l.closeErr
}

func (l *link) closeStage() (err error) {
	defer l.recovered("close", &err)
	if err := l.stage.Close(); err != nil {
		return &Error{l.name, "close", err}
	}
	return nil
}

// recovered is deferred around every call into a stage. It stores a panic as
// the link's own lasting error and in *err. A panic of the source unwinds
// through the stage that was reading it, and is put down to it: the stack tells
// them apart.
func (l *link) recovered(op string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	e := &Error{l.name, op, &PanicError{v, debug.Stack()}}
	if l.err == nil {
		l.err = e
	}
	*err = e
}
