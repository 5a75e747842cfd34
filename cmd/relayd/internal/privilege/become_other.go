//go:build !linux

package privilege

import (
	"fmt"
	"os"
)

// noNewPrivileges has no equal here.
func noNewPrivileges() error { return nil }

// verify asks the system who we are.
func (a Account) verify() error {
	if os.Getuid() != a.UID || os.Geteuid() != a.UID || os.Getgid() != a.GID || os.Getegid() != a.GID {
		return fmt.Errorf("we are user %d and group %d still", os.Geteuid(), os.Getegid())
	}
	return nil
}
