package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeTime is how long a socket file's listener may take to answer. A backlog
// that is full answers at once, too.
const probeTime = time.Second

// errLive is a socket file that somebody listens on.
var errLive = errors.New("a live process listens on it: stop it, or choose another path")

// A unixFile is a socket file of our own making. It is known by its inode, so
// that a successor's file at the same path is never removed for it.
type unixFile struct {
	path string
	info fs.FileInfo
}

// listenUnix opens a Unix listener. A file that a dead process left is
// replaced; two processes that start at once do that one after the other.
func (l *Listener) listenUnix(ctx context.Context) error {
	if l.a.Abstract {
		return l.bindUnix(ctx)
	}
	unlock, err := lockPath(ctx, l.a.Path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clearStale(l.a.Path); err != nil {
		return err
	}
	if err := l.bindUnix(ctx); err != nil {
		return err
	}
	info, err := os.Lstat(l.a.Path)
	if err == nil && l.a.Mode != 0 {
		err = os.Chmod(l.a.Path, l.a.Mode)
	}
	if err != nil {
		l.ln.Close()
		return err
	}
	l.file = &unixFile{l.a.Path, info}
	return nil
}

func (l *Listener) bindUnix(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, l.a.network(), l.a.address())
	if err != nil {
		return err
	}
	u, ok := ln.(*net.UnixListener)
	if !ok {
		ln.Close()
		return errors.ErrUnsupported
	}
	u.SetUnlinkOnClose(false) // see unixFile
	l.ln = u
	return nil
}

// remove removes the file if it is still ours.
func (f *unixFile) remove() {
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(now, f.info) {
		os.Remove(f.path)
	}
}

// clearStale removes a socket file that nobody listens on. Anything else at the
// path is an error.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already, and is not a socket: it is not replaced", path)
	}
	c, err := net.DialTimeout("unix", path, probeTime)
	if err == nil {
		c.Close()
		return errLive
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded) {
		return errLive // with a full backlog
	}
	return fmt.Errorf("probing the socket that is there: %w", reason(err))
}

// lockTry is how often a lock that somebody holds is tried again.
const lockTry = 5 * time.Millisecond

// lockPath keeps other relayds from probing, removing and binding at path. The
// lock is a file beside it, which the last one out removes: whoever gets the
// lock looks whether the file is still the one at the path.
func lockPath(ctx context.Context, path string) (unlock func(), err error) {
	name := path + ".lock"
	ctx, stop := context.WithTimeout(ctx, 2*probeTime)
	defer stop()
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if tryLock(f) {
			return func() {
				os.Remove(name) // while it is locked
				f.Close()
			}, nil
		}
		f.Close()
		timer := time.NewTimer(lockTry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%s is locked by another process", name)
		}
	}
}

// tryLock locks f, if nobody else has and f is still the file at its name.
func tryLock(f *os.File) bool {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false
	}
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(mine, now)
}
