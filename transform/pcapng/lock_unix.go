//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package pcapng

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// errLocked: somebody holds a lock that is not one of ours.
var errLocked = errors.New("another program has locked it")

// lockAlone takes the file's lock if nobody else has it, and reports whether. If
// not, a lock that we had may be lost: lockShared is next in any case.
func lockAlone(f *os.File) bool { return flock(f, syscall.LOCK_EX) == nil }

const (
	lockTries = 50
	lockPause = 20 * time.Millisecond
)

// lockShared takes the lock together with others, or turns ours into such a one.
// Who has it alone has it for a moment only, if it is one of ours. Where files
// have no locks it does nothing.
func lockShared(f *os.File) error {
	for range lockTries {
		if flock(f, syscall.LOCK_SH) != syscall.EWOULDBLOCK {
			return nil
		}
		time.Sleep(lockPause)
	}
	return errLocked
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
