package lifetime_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"relayd/lifetime"
)

// sentinels are the package's errors, by the names that the matrix calls them.
var sentinels = []struct {
	name   string
	err    error
	closed bool // means "closed on our side"
}{
	{"dropped", lifetime.ErrDropped, true},
	{"parent-dropped", lifetime.ErrParentDropped, true},
	{"closed", lifetime.ErrClosedByParent, true},
	{"trapped", lifetime.ErrTrapped, true},
	{"shutdown", lifetime.ErrShutdown, true},
	{"taken", lifetime.ErrTaken, false},
	{"dropping", lifetime.ErrDropping, false},
	{"alive", lifetime.ErrHoldersAlive, false},
}

// The causes of the first and the second shutdown of a test.
var (
	errFirst  = errors.New("the first cause")
	errSecond = errors.New("the second cause")
	errReset  = errors.New("connection reset by peer")
)

// outcome returns an error's name: of the one sentinel that it is, with the
// names that it carries. It fails the test for an error that is none, or more
// than one, or on the wrong side of net.ErrClosed. The name "shutdown" is for
// those that wrap errFirst.
func outcome(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return "ok"
	}
	var name string
	for _, s := range sentinels {
		if !errors.Is(err, s.err) {
			continue
		}
		if name != "" {
			tb.Errorf("error %q is both %s and %s", err, name, s.name)
		}
		name = s.name
		if errors.Is(err, net.ErrClosed) != s.closed {
			tb.Errorf("errors.Is(%q, net.ErrClosed) is %v", err, !s.closed)
		}
	}
	switch name {
	case "":
		tb.Errorf("error %q is none of the package's", err)
		return err.Error()
	case "trapped":
		if trap, ok := errors.AsType[*lifetime.TrapError](err); ok {
			return strings.Join(append([]string{"trap"}, letters(trap.Holders)...), " ")
		}
	case "shutdown":
		if !errors.Is(err, errFirst) || errors.Is(err, errSecond) {
			name = err.Error() // of another cause
		}
	case "alive":
		// "op name: why: held by names"
		_, names, ok := strings.Cut(err.Error(), "held by ")
		if !ok || names == "" {
			tb.Errorf("error %q names nobody", err)
		}
		return strings.Join(append([]string{"alive"}, letters(strings.Split(names, ", "))...), " ")
	}
	return name
}

// letters turns the names of a sock's parts into the matrix's letters.
func letters(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		switch name[strings.LastIndex(name, ".")+1:] {
		case "read":
			list[i] = "R"
		case "write":
			list[i] = "W"
		default:
			list[i] = "P"
		}
	}
	slices.Sort(list)
	return list
}

// want fails the test if err is not what outcome calls by this name.
func want(tb testing.TB, what string, err error, name string) {
	tb.Helper()
	if got := outcome(tb, err); got != name {
		tb.Errorf("%s: %s, want %s", what, got, name)
	}
}

// wantEnd fails the test if p did not end this way, or if its error is not the
// end's.
func wantEnd(tb testing.TB, p *part, end lifetime.End) {
	tb.Helper()
	if p.End() != end {
		tb.Errorf("%s ended as %v, want %v", p.Name(), p.End(), end)
	}
	checkErr(tb, p)
}

// endErrors are what Err returns for the ends that have one error each.
var endErrors = map[lifetime.End]error{
	lifetime.Open:           nil,
	lifetime.Dropped:        lifetime.ErrDropped,
	lifetime.Lost:           lifetime.ErrDropped,
	lifetime.WasTrapped:     lifetime.ErrTrapped,
	lifetime.ClosedByParent: lifetime.ErrClosedByParent,
	lifetime.PeerClosed:     io.EOF,
}

// checkErr fails the test if p's Err does not go with its End.
func checkErr(tb testing.TB, p *part) {
	tb.Helper()
	end, err := p.End(), p.Err()
	ok := false
	switch end {
	case lifetime.ShutDown, lifetime.Finished:
		ok = errors.Is(err, lifetime.ErrShutdown)
	case lifetime.Failed:
		ok = err != nil && err != io.EOF && !errors.Is(err, net.ErrClosed)
	default:
		var plain error
		plain, ok = endErrors[end]
		ok = ok && err == plain
	}
	if !ok {
		tb.Errorf("%s ended as %v and its Err is %v", p.Name(), end, err)
	}
}
