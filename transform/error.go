package transform

import (
	"fmt"
	"net"
)

// Error is a failure of a stage itself. What its source reports is passed
// through as it is, and never becomes an Error.
type Error struct {
	Stage string // the stage's name; for the Op "parse", the text that was parsed
	Op    string // "parse", "invert", "open", "read" or "close"
	Err   error  // what went wrong
}

func (e *Error) Error() string {
	switch e.Op {
	case "read": // nearly all that can go wrong, so it goes without saying
		return e.Stage + ": " + e.Err.Error()
	case "parse":
		return fmt.Sprintf("parse stage %q: %v", e.Stage, e.Err)
	}
	return e.Stage + ": " + e.Op + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is what the [Error] of a stage that panicked holds.
//
// It does not unwrap to Value: a stage that panics with io.EOF has not ended.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // the goroutine's stack when it was recovered, for the log
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// ErrClosed is the error of a Read after Close, inside an [*Error]. It is
// also a [net.ErrClosed], as every end is that our own side decided on.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string        { return "stage is closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }
