package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// prSetNoNewPrivs is PR_SET_NO_NEW_PRIVS of prctl(2).
const prSetNoNewPrivs = 38

// noNewPrivileges makes programs that we start unable to get privileges.
func noNewPrivileges() error {
	if err := syscall.AllThreadsPrctl(prSetNoNewPrivs, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}

// verify looks at every thread of the process, as the kernel has it.
func (a Account) verify() error {
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		return errors.New("/proc/self/task cannot be read: who we are now is not known")
	}
	for _, name := range threads {
		status, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a thread that has ended
		}
		if err == nil {
			err = a.check(string(status))
		}
		if err != nil && !isGone(name) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// isGone reports whether a thread has ended, so that its file was cut short.
func isGone(name string) bool {
	_, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// check holds the status of a thread against the account: proc(5). If it has no
// groups, they are not looked at.
func (a Account) check(status string) error {
	fields := make(map[string]string)
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	if got, want := fields["Uid"], four(a.UID); got != want {
		return fmt.Errorf("its users are %q, not %q", got, want)
	}
	if got, want := fields["Gid"], four(a.GID); got != want {
		return fmt.Errorf("its groups are %q, not %q", got, want)
	}
	if a.Groups != nil {
		if got, want := fields["Groups"], sorted(a.Groups); got != want {
			return fmt.Errorf("its supplementary groups are %q, not %q", got, want)
		}
	}
	if a.UID != 0 {
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if value := fields[set]; value == "" || strings.Trim(value, "0") != "" {
				return fmt.Errorf("its capabilities %s are %q, not none", set, value)
			}
		}
	}
	if got := fields["NoNewPrivs"]; got != "1" {
		return fmt.Errorf("NoNewPrivs is %q, not 1", got)
	}
	return nil
}

// four is a number as the real, effective, saved and file system one.
func four(n int) string {
	s := strconv.Itoa(n)
	return strings.Join([]string{s, s, s, s}, " ")
}

// sorted writes groups as the kernel does: in order.
func sorted(groups []int) string {
	groups = slices.Compact(slices.Sorted(slices.Values(groups)))
	words := make([]string, len(groups))
	for i, g := range groups {
		words[i] = strconv.Itoa(g)
	}
	return strings.Join(words, " ")
}
