//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package pcapng

import (
	"errors"
	"os"
	"syscall"
)

// errLocked: somebody holds a lock that is not one of ours.
var errLocked = errors.New("another program has locked it")

// lockAlone takes the file's lock if nobody else has it, and reports whether.
func lockAlone(f *os.File) bool { return flock(f, syscall.LOCK_EX) == nil }

// lockShared takes the lock together with others, or turns ours into such a one.
// Where files have no locks it does nothing.
func lockShared(f *os.File) error {
	if err := flock(f, syscall.LOCK_SH); err == syscall.EWOULDBLOCK {
		return errLocked
	}
	return nil
}

// flock never waits.
func flock(f *os.File, how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = conn.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), how|syscall.LOCK_NB) })
	if err != nil {
		return err
	}
	return locked
}
