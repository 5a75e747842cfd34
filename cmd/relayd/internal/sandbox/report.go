package sandbox

import (
	"fmt"
	"log/slog"
	"strings"
)

// A Report says what the process is restricted to. A nil Report is of a process
// that is not.
type Report struct {
	// ABI is the version of the kernel's Landlock, 0 if there is none.
	ABI int
	// Unrestricted says why the process is not restricted, "" if it is.
	Unrestricted string
	// Missing are the needs that are not there: what appears there later is out
	// of reach, unless it is below something else.
	Missing []string

	granted *grants
}

// Restricted reports whether the process is.
func (r *Report) Restricted() bool { return r != nil && r.Unrestricted == "" }

// unrestricted lists what a sandbox of ours leaves as it was, in a kernel with
// that Landlock.
func unrestricted(abi int) string {
	const always = "network, signals, connecting to Unix sockets, file modes and owners"
	switch {
	case abi < 3:
		return always + ", cutting files short, devices' controls"
	case abi < 5:
		return always + ", devices' controls"
	}
	return always
}

// LogValue is the report as a group of attributes.
func (r *Report) LogValue() slog.Value {
	if !r.Restricted() {
		why := "not asked for"
		if r != nil {
			why = r.Unrestricted
		}
		return slog.GroupValue(slog.String("files", "unrestricted"), slog.String("why", why))
	}
	return slog.GroupValue(
		slog.String("files", fmt.Sprintf("restricted by Landlock, version %d", r.ABI)),
		slog.String("read", list(r.granted.which(read))),
		slog.String("run", list(r.granted.which(run))),
		slog.String("write", list(r.granted.which(write))),
		slog.String("create", list(r.granted.which(create))),
		slog.String("unrestricted", unrestricted(r.ABI)),
	)
}

func list(paths []string) string {
	if len(paths) == 0 {
		return "none"
	}
	return strings.Join(paths, " ")
}

// A DeniedError is what a sandbox does not allow, and a later configuration
// needs.
type DeniedError struct {
	Paths []string // with what is to be done there: "read /etc/x.pem"
}

// Error says what to do.
func (e *DeniedError) Error() string {
	it := "it"
	if len(e.Paths) > 1 {
		it = "them"
	}
	return fmt.Sprintf("this needs to %s, which the sandbox does not allow: add %s to sandbox.paths (--sandbox-path) and restart",
		strings.Join(e.Paths, ", "), it)
}

// Covers returns nil if the process may do all that n needs, and otherwise a
// [*DeniedError]. What is not there is not the sandbox's to refuse.
func (r *Report) Covers(n Needs) error {
	if !r.Restricted() {
		return nil
	}
	var denied []string
	seen := make(map[string]bool)
	look := func(verb string, paths []string, of func(string) Needs) {
		for _, p := range paths {
			for _, g := range resolve(of(p)).list {
				if what := verb + " " + p; !r.granted.allows(g) && !seen[what] {
					seen[what] = true
					denied = append(denied, what)
				}
			}
		}
	}
	look("read", n.Read, func(p string) Needs { return Needs{Read: []string{p}} })
	look("run", n.Exec, func(p string) Needs { return Needs{Exec: []string{p}} })
	look("write", n.Write, func(p string) Needs { return Needs{Write: []string{p}} })
	look("create files in", n.Create, func(p string) Needs { return Needs{Create: []string{p}} })
	if len(denied) == 0 {
		return nil
	}
	return &DeniedError{denied}
}
