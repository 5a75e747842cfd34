package leak

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

// Processes makes t fail if a process that was started after the call is still
// there when t has ended: a child, and on Linux also a descendant whose parent
// has ended. Call it first. Nothing else may run child processes meanwhile, or
// have any: at the end, all are waited for.
func Processes(t testing.TB) {
	t.Helper()
	adoptOrphans(t, true)
	t.Cleanup(func() {
		t.Helper()
		if !childrenEnd(patience) {
			t.Errorf("leak: %v after its end %s has left processes", patience, t.Name())
		}
		adoptOrphans(t, false)
	})
}

// childrenEnd waits until there is no child any more, and reports whether that
// was within d.
func childrenEnd(d time.Duration) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return true
		case pid > 0 || errors.Is(err, syscall.EINTR):
			continue
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return false
		}
	}
}
