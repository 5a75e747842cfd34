package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
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
func (l *Listener) listenUnix(ctx context.Context, s *settings) error {
	if l.a.Abstract {
		return l.bindUnix(ctx, s)
	}
	unlock, err := lockPath(ctx, l.a.Path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clearStale(l.a.Path); err != nil {
		return err
	}
	if err := l.bindUnix(ctx, s); err != nil {
		return err
	}
	info, err := os.Lstat(l.a.Path)
	if err != nil {
		l.ln.Close()
		return err
	}
	l.file = &unixFile{l.a.Path, info}
	if err := setFile(l.a.Path, s); err != nil {
		l.release()
		return err
	}
	return nil
}

func (l *Listener) bindUnix(ctx context.Context, s *settings) error {
	lc := net.ListenConfig{Control: s.control(listening)}
	ln, err := lc.Listen(ctx, l.a.network(), l.a.address())
	if err != nil {
		return err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // see unixFile
	}
	k, err := newKernelListener(ln, s, true)
	if err != nil {
		return err
	}
	l.ln = k
	return nil
}

// setFile gives a socket file its owner and its mode, which until then was no
// wider than both.
func setFile(path string, s *settings) error {
	uid, gid, err := s.owner()
	if err != nil {
		return err
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return fmt.Errorf("option %q: %w", "owner", err)
		}
	}
	mode := s.mode
	if mode == 0 && (uid >= 0 || gid >= 0) {
		mode = defaultOwnedMode
	}
	if mode == 0 {
		return nil
	}
	return os.Chmod(path, mode)
}

// defaultOwnedMode is the mode of a socket file that was given to somebody: for
// the owner and the group. A umask is about the process's own files.
const defaultOwnedMode = 0o660

// owner returns the numbers of the owner and the group, -1 for one that stays.
func (s *settings) owner() (uid, gid int, err error) {
	uid, gid = -1, -1
	if s.user != "" {
		if uid, err = strconv.Atoi(s.user); err != nil {
			u, err := user.Lookup(s.user)
			if err != nil {
				return -1, -1, fmt.Errorf("option %q: %w", "owner", err)
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if s.group != "" {
		if gid, err = strconv.Atoi(s.group); err != nil {
			g, err := user.LookupGroup(s.group)
			if err != nil {
				return -1, -1, fmt.Errorf("option %q: %w", "owner", err)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}

// remove removes the file if it is still ours. The listener must be open still:
// see [Listener.release].
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
	switch {
	case err == nil:
		c.Close()
		return errLive
	case errors.Is(err, syscall.ECONNREFUSED):
		err = os.Remove(path)
	case errors.Is(err, syscall.EAGAIN) || IsTimeout(err):
		return errLive // with a full backlog
	case errors.Is(err, syscall.EPROTOTYPE):
		return errLive // for datagrams
	default:
		err = fmt.Errorf("probing the socket that is there: %w", reason(err))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // who listened there has just removed it
	}
	return err
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
