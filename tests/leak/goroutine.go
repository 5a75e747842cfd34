package leak

import (
	"runtime"
	"strings"
)

// A goroutine is one that was running when goroutines was called.
type goroutine struct {
	id    string
	stack string // as a panic prints it
}

// goroutines returns all goroutines but the runtime's.
func goroutines() []goroutine {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	var all []goroutine
	for stack := range strings.SplitSeq(strings.TrimSpace(string(buf[:n])), "\n\n") {
		if ofRuntime(stack) {
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		all = append(all, goroutine{id, stack})
	}
	return all
}

// ofRuntime reports whether a stack is of a goroutine that the program cannot
// end: the one that waits for signals, from the first signal.Notify on, and
// those of the runtime, which are seen only under GOTRACEBACK=system.
func ofRuntime(stack string) bool {
	return strings.Contains(stack, "\nos/signal.loop()\n") ||
		strings.Contains(stack, "\ncreated by runtime.")
}
