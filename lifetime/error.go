package lifetime

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// closed is an error that means "closed on our side".
type closed string

func (e closed) Error() string        { return string(e) }
func (e closed) Is(target error) bool { return target == net.ErrClosed }

// Errors of this package. All but ErrTaken, ErrDropping and ErrHoldersAlive
// satisfy errors.Is(err, [net.ErrClosed]): those three leave the resource fine.
var (
	// ErrDropped: this handle was dropped already.
	ErrDropped error = closed("resource dropped")
	// ErrParentDropped: a child asked for a sibling after the parent's owner went.
	ErrParentDropped error = closed("parent resource dropped")
	// ErrClosedByParent: the parent was dropped under [CloseChildren].
	ErrClosedByParent error = closed("closed by the drop of its parent")
	// ErrTrapped: the resource was poisoned by a wrong drop order.
	ErrTrapped error = closed("resource trapped by a wrong drop order")
	// ErrShutdown: the resource, or one above it, was shut down or finished.
	// The error that is returned also wraps the cause that was given.
	ErrShutdown error = closed("resource shut down")
	// ErrTaken: the resource was handed out already.
	ErrTaken = errors.New("resource already taken")
	// ErrDropping: a [Block] drop of the resource waits for its children.
	ErrDropping = errors.New("resource is being dropped")
	// ErrHoldersAlive: the context ended before the last holder was gone. The
	// error that is returned names the holders and wraps the context's cause.
	ErrHoldersAlive = errors.New("holders alive")
)

// errFull is returned when a counter of the state word has no room.
var errFull = errors.New("too many operations or children on one resource")

// errGrace is the cause of the shutdown that ends a grace.
var errGrace = errors.New("still held when the grace after its drop ended")

// A TrapError reports a wrong order of drops under the [Trap] policy: a parent
// was dropped before its children, or a handle was used after its drop. It
// satisfies errors.Is for [ErrTrapped] and [net.ErrClosed].
type TrapError struct {
	Op      string   // "drop", "enter" or "acquire"
	Name    string   // of the resource
	Holders []string // the children that were not dropped, by name
}

// Error says which operation trapped, on what, and who still held it.
func (e *TrapError) Error() string {
	if len(e.Holders) == 0 {
		return fmt.Sprintf("%s %s: trapped: it was dropped before", e.Op, e.Name)
	}
	return fmt.Sprintf("%s %s: trapped: still held by %s", e.Op, e.Name, list(e.Holders))
}

// Unwrap returns [ErrTrapped].
func (e *TrapError) Unwrap() error { return ErrTrapped }

// A shutdownError is ErrShutdown with its cause.
type shutdownError struct{ cause error }

func (e *shutdownError) Error() string   { return ErrShutdown.Error() + ": " + e.cause.Error() }
func (e *shutdownError) Unwrap() []error { return []error{ErrShutdown, e.cause} }

// A holdersError is ErrHoldersAlive with the holders' names.
type holdersError struct {
	op, name string
	holders  []string
	cause    error
}

func (e *holdersError) Error() string {
	return fmt.Sprintf("%s %s: %v: held by %s", e.op, e.name, e.cause, list(e.holders))
}
func (e *holdersError) Unwrap() []error { return []error{ErrHoldersAlive, e.cause} }

// list joins names, and cuts a list that nobody would read to its end.
func list(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
