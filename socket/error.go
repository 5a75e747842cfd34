package socket

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// An Error is an operation on a socket or a listener that failed.
type Error struct {
	Op     string // "listen", "accept", "dial", "handshake", "preface", "read", "write"
	Local  string // our address, or "" where there is none
	Remote string // the peer's, or the one dialled
	Err    error  // why: a syscall.Errno, or an error of package lifetime
}

// Error says what failed, between which addresses, and why.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Local != "" && e.Remote != "":
		b.WriteString(" " + e.Local + "->" + e.Remote)
	case e.Local+e.Remote != "":
		b.WriteString(" " + e.Local + e.Remote)
	}
	b.WriteString(": " + e.Err.Error())
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether a deadline was the reason; with it an Error is a
// net.Error.
func (e *Error) Timeout() bool { return errors.Is(e.Err, os.ErrDeadlineExceeded) }

// Temporary is Timeout. Package net wants it.
func (e *Error) Temporary() bool { return e.Timeout() }

// IsReset reports whether err says that the peer, or something on the way to
// it, has ended the connection with anything but a FIN, or a stream of TLS with
// nothing but that.
func IsReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.Is(err, ErrNoCloseNotify)
}

// IsUnspoken reports whether err, of a [Socket.Preface] or a [Socket.Handshake],
// says that the peer has gone, by a FIN or by a reset, before it sent a byte: as
// who only looks whether somebody listens.
func IsUnspoken(err error) bool {
	var u unspoken
	return err == io.EOF || errors.As(err, &u)
}

// An unspoken is why a connection has ended that was to begin.
type unspoken struct{ error }

func (u unspoken) Unwrap() error { return u.error }

// IsExhausted reports whether err says that the process or the machine has run
// out of descriptors or memory: waiting may help.
func IsExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// IsTimeout reports whether err says that time was up: that of a context, of a
// deadline, or of the system. A dial whose context has a deadline meets the
// first or the second, whichever fires first.
func IsTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT)
}

// IsNoPorts reports whether err says that no local port is left to dial from.
func IsNoPorts(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// reason takes the wrapping that packages net and os add off an error: this package
// adds addresses once, in its own words.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return err
}
