package chaos

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Capabilities, by their bits in linux/capability.h: who has one of them has all
// the pipes that he wants, whatever pipe(7) says of his share.
const (
	capSysAdmin    = 21
	capSysResource = 24
)

const (
	prCapBSetDrop    = 24 // PR_CAPBSET_DROP of linux/prctl.h
	ordinaryVariable = "RELAYD_CHAOS_ORDINARY"
)

// becomeOrdinary begins the program anew without the right to exceed what
// everybody has of pipes, so that the relay can run out of them. Root keeps all
// other rights. It returns if there is nothing to give up.
func becomeOrdinary() {
	if os.Getenv(ordinaryVariable) != "" || !privileged() {
		return
	}
	runtime.LockOSThread() // the bounds are the thread's, and after exec(2) the program's
	defer runtime.UnlockOSThread()
	for _, c := range []uintptr{capSysAdmin, capSysResource} {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBSetDrop, c, 0); errno != 0 {
			return
		}
	}
	syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), ordinaryVariable+"=1"))
}

// privileged reports whether the process has one of the two capabilities.
func privileged() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(status), "\nCapEff:")
	field, _, _ := strings.Cut(strings.TrimSpace(after), "\n")
	has, err := strconv.ParseUint(field, 16, 64)
	return err == nil && has&(1<<capSysAdmin|1<<capSysResource) != 0
}
