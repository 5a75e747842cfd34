package leak

import (
	"syscall"
	"testing"
)

// childSubreaper is PR_SET_CHILD_SUBREAPER of the kernel's
// include/uapi/linux/prctl.h.
const childSubreaper = 36

// adoptOrphans makes processes whose parent ends children of this one, or no more.
func adoptOrphans(t testing.TB, adopt bool) {
	var set uintptr
	if adopt {
		set = 1
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, childSubreaper, set, 0); errno != 0 {
		t.Errorf("leak: cannot adopt orphans: %v", errno)
	}
}
