package leak

import "testing"

// Check makes t fail if, when it and its subtests have ended, a goroutine or a
// file descriptor exists that did not exist at the call. Call it first, so that
// the test's other cleanups run before the check. A test that failed already is
// not checked.
//
// What runs beside the test would be taken for its own, so a test with Check
// cannot be parallel: testing panics if it is. Its subtests may be.
func Check(t testing.TB) {
	t.Helper()
	// Only testing knows whether t or a parent of it is parallel, or will be. It
	// refuses to set the environment then, for the same reason as ours.
	t.Setenv("RELAYD_LEAK_CHECK", t.Name())
	b := take()
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			return
		}
		if left := b.wait(patience); !left.empty() {
			t.Errorf("leak: %v after its end %s has left\n%s", patience, t.Name(), left)
		}
	})
}

// Count returns how many goroutines and how many file descriptors the process
// has now. Left out are the goroutines that belong to the Go runtime, and the
// descriptor that counting takes. It panics if the descriptors cannot be
// listed, as when none is free.
func Count() (goroutines, fds int) {
	b := take()
	return len(b.goroutines), len(b.fds)
}
