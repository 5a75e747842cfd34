package leak

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// patience is how long something may need to end. It is far more than any end
// takes on a loaded machine, as only a real leak waits it out. A variable, so
// that leak's own tests need not wait as long.
var patience = 5 * time.Second

// Main runs the tests of m and then checks that they left no goroutine and no
// file descriptor. If they did, it prints them and ends the process with status
// 1. It is the whole body of a package's TestMain.
//
// After a failed test there is no check: a test that stops half-way leaves
// things open, and they would hide why it stopped.
func Main(m *testing.M) {
	if code := (M{m}).Run(); code != 0 {
		os.Exit(code)
	}
}

// An M is a testing.M whose Run includes the check of [Main]. It is for a
// TestMain that has to hand its M to somebody else, who calls Run and os.Exit:
// testscript.Main(leak.M{m}, commands).
type M struct{ *testing.M }

// Run runs the tests, then the check, and returns the status to exit with.
func (m M) Run() int {
	b := take()
	code := m.M.Run()
	if code != 0 || fuzzWorker() {
		return code
	}
	left := b.wait(patience)
	if left.empty() {
		return 0
	}
	fmt.Fprintf(os.Stderr, "leak: all tests passed, but %v later they have left\n%s", patience, left)
	return 1
}

// fuzzWorker reports whether this process is a child of a fuzzing run: it holds
// its parent's pipes and shared memory to its end, and its status tells the
// parent how fuzzing went. The parent is checked like any other.
func fuzzWorker() bool {
	f := flag.Lookup("test.fuzzworker")
	return f != nil && f.Value.String() == "true"
}
