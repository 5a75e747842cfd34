package conformance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"relayd/lifetime"
	"relayd/socket"
)

// outcomes are the words for errors, the particular before the general, and
// whether each means "closed on our side".
var outcomes = []struct {
	err    error
	word   string
	closed bool
}{
	{lifetime.ErrTrapped, "trapped", true},
	{lifetime.ErrParentDropped, "parent-dropped", true},
	{lifetime.ErrClosedByParent, "closed", true},
	{lifetime.ErrDropped, "dropped", true},
	{lifetime.ErrShutdown, "shutdown", true},
	{lifetime.ErrTaken, "taken", false},
	{lifetime.ErrDropping, "dropping", false},
	{lifetime.ErrHoldersAlive, "alive", false},
}

// word returns an outcome in one word. An error that is none of those expected
// anywhere is its own text, and so is one whose net.ErrClosed is wrong.
func (c *cell) word(err error) string {
	if err == nil {
		return "ok"
	}
	if err == io.EOF {
		return "EOF"
	}
	if errors.Is(err, io.EOF) {
		return fmt.Sprintf("an io.EOF that is wrapped (%v)", err)
	}
	var t *lifetime.TrapError
	if errors.As(err, &t) {
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err, lifetime.ErrTrapped) {
			return fmt.Sprintf("a TrapError that is not ErrTrapped and net.ErrClosed (%v)", err)
		}
		return strings.TrimSpace("trap " + letters(t.Holders))
	}
	for _, o := range outcomes {
		if !errors.Is(err, o.err) {
			continue
		}
		if errors.Is(err, net.ErrClosed) != o.closed {
			return fmt.Sprintf("%s, whose errors.Is(net.ErrClosed) is %v (%v)", o.word, !o.closed, err)
		}
		if o.err == lifetime.ErrShutdown && !errors.Is(err, errCell) {
			return fmt.Sprintf("shutdown without its cause (%v)", err)
		}
		return o.word
	}
	if socket.IsReset(err) {
		if errors.Is(err, net.ErrClosed) {
			return fmt.Sprintf("reset that says net.ErrClosed (%v)", err)
		}
		return "reset"
	}
	return err.Error()
}

// letters turns the names of parts into their letters, in order.
func letters(names []string) string {
	var b strings.Builder
	for _, l := range []struct{ suffix, letter string }{{".read", "R"}, {".write", "W"}, {".stage", "C"}} {
		for _, n := range names {
			if strings.HasSuffix(n, l.suffix) {
				b.WriteString(l.letter + " ")
			}
		}
	}
	return strings.TrimSpace(b.String())
}
