package privilege

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrNotRoot is that only root can become another user.
var ErrNotRoot = errors.New("only root can become another user")

// Become makes the process the account. The error says what could not be given
// up, or is still there: then the process must not go on, since it is neither.
func (a Account) Become() error {
	if err := a.become(); err != nil {
		return fmt.Errorf("user %q: %w", a.Name, err)
	}
	return nil
}

func (a Account) become() error {
	if os.Getuid() != 0 && os.Geteuid() != 0 {
		if os.Getuid() != a.UID || os.Getgid() != a.GID || os.Geteuid() != a.UID || os.Getegid() != a.GID {
			return ErrNotRoot
		}
		// We are it already. Groups are whoever's who has started us.
		if err := noNewPrivileges(); err != nil {
			return err
		}
		a.Groups = nil
		return a.verify()
	}
	// Groups first: who is no longer root cannot.
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	if err := noNewPrivileges(); err != nil {
		return err
	}
	return a.verify()
}
