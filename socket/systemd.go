package socket

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// firstPassed is the first descriptor that systemd passes: see sd_listen_fds(3).
const firstPassed = 3

// A passedFD is a descriptor that systemd passed, and its name.
type passedFD struct {
	fd    int
	name  string
	taken bool
}

// passed are the descriptors that systemd passed to this process. The
// environment is read once, at the first use, and its three variables are unset
// then: children must not take them for theirs. So must the descriptors.
var passed = struct {
	sync.Mutex
	once sync.Once
	list []passedFD
}{}

// readPassed reads the environment. It is for another process if LISTEN_PID is
// not ours; then it stays.
func readPassed() {
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if err != nil || pid != os.Getpid() {
		return
	}
	names := passedNames(os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	for i, name := range names {
		passed.list = append(passed.list, passedFD{fd: firstPassed + i, name: name})
		unix.CloseOnExec(firstPassed + i)
	}
}

// passedNames returns the names of the descriptors that there are, from their
// number and a list with colons, which may be shorter or longer. No number is
// none of them.
func passedNames(number, list string) (names []string) {
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil
	}
	given := strings.Split(list, ":")
	for i := range int(n) {
		name := "unknown" // as sd_listen_fds_with_names(3) has it
		if i < len(given) && given[i] != "" {
			name = given[i]
		}
		names = append(names, name)
	}
	return names
}

// listenSystemd opens a listener on the next descriptor of a name: a unit may
// have several sockets under one.
func (l *Listener) listenSystemd(name string, s *settings) error {
	passed.Lock()
	defer passed.Unlock()
	passed.once.Do(readPassed)
	if len(passed.list) == 0 {
		return fmt.Errorf("systemd has passed no descriptor to this process: LISTEN_PID and LISTEN_FDS say which")
	}
	var free []string
	for i := range passed.list {
		p := &passed.list[i]
		switch {
		case p.taken:
		case p.name != name:
			free = append(free, strconv.Quote(p.name))
		default:
			err := l.listenFD(p.fd, true, s)
			p.taken = err == nil
			return err
		}
	}
	if len(free) == 0 {
		return fmt.Errorf("all descriptors that systemd has passed are in use")
	}
	return fmt.Errorf("systemd has passed no descriptor of this name, or all of them are in use; there is still %s", strings.Join(free, ", "))
}
