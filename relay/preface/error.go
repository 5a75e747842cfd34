package preface

import "fmt"

// A Part is what a preface consists of.
type Part string

// The parts.
const (
	Proxy       Part = "PROXY header"
	ClientHello Part = "ClientHello"
)

// An Error is a part that is not as it has to be.
type Error struct {
	Part Part
	Why  string
}

// Error says of which part, and what is wrong.
func (e *Error) Error() string { return string(e.Part) + ": " + e.Why }

// ErrNoHeader is returned when a header is wanted, and the connection does not
// begin with one.
var ErrNoHeader = &Error{Proxy, "missing: the source is trusted to send one, and began with something else"}

// badProxy and badHello make errors.

func badProxy(format string, args ...any) error {
	return &Error{Proxy, fmt.Sprintf(format, args...)}
}

func badHello(format string, args ...any) error {
	return &Error{ClientHello, fmt.Sprintf(format, args...)}
}
