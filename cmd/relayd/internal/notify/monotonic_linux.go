package notify

import (
	"syscall"
	"unsafe"
)

// clockMonotonic is CLOCK_MONOTONIC, see clock_gettime(2).
const clockMonotonic = 1

// monotonic returns the microseconds of the clock by which systemd tells this
// reload from the one before. Package time has it, and does not show it.
func monotonic() (usec int64, ok bool) {
	var t syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano() / 1000, errno == 0
}
