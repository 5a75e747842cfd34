package privilege

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// An Account is who a process is: a user, a group, and supplementary groups.
// The zero Account is nobody in particular.
type Account struct {
	Name   string // as it was given
	UID    int
	GID    int
	Groups []int // with GID
}

// Lookup parses USER or USER:GROUP, each a name or a number. With a user alone
// the account has the user's groups, all of them; with a group it has that one.
// A number that no user has needs a group.
func Lookup(text string) (Account, error) {
	name, group, withGroup := strings.Cut(text, ":")
	a := Account{Name: text}
	if name == "" || withGroup && group == "" {
		return a, fmt.Errorf("user %q: it is written USER or USER:GROUP, by name or number", text)
	}
	u, err := lookupUser(name)
	switch {
	case err == nil:
		a.UID, err = strconv.Atoi(u.Uid)
	case withGroup:
		a.UID, err = number(name)
	}
	if err != nil {
		return a, fmt.Errorf("user %q: there is none of that name or number", name)
	}
	if withGroup {
		if a.GID, err = lookupGroup(group); err != nil {
			return a, fmt.Errorf("group %q: there is none of that name", group)
		}
		a.Groups = []int{a.GID}
		return a, nil
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return a, fmt.Errorf("user %q: group %q is no number", name, u.Gid)
	}
	return a, a.addGroups(u)
}

// addGroups adds the groups that a user is a member of.
func (a *Account) addGroups(u *user.User) error {
	a.Groups = []int{a.GID}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("user %q: its groups: %w", a.Name, err)
	}
	for _, id := range ids {
		if n, err := number(id); err == nil && !slices.Contains(a.Groups, n) {
			a.Groups = append(a.Groups, n)
		}
	}
	return nil
}

// lookupUser finds a user by name or else by number.
func lookupUser(text string) (*user.User, error) {
	u, err := user.Lookup(text)
	if err != nil {
		u, err = user.LookupId(text)
	}
	return u, err
}

// lookupGroup finds a group by name; any number is one.
func lookupGroup(text string) (int, error) {
	if g, err := user.LookupGroup(text); err == nil {
		return number(g.Gid)
	}
	return number(text)
}

var errNumber = errors.New("not the number of a user or a group")

// number parses the number of a user or a group. The last one means no change to
// the system.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n >= 1<<32-1 || strconv.IntSize == 32 && n >= 1<<31 {
		return 0, errNumber
	}
	return int(n), nil
}

// Owner is the account as the option owner of an address has it.
func (a Account) Owner() string { return strconv.Itoa(a.UID) + ":" + strconv.Itoa(a.GID) }
