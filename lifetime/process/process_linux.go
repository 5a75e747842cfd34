package process

import (
	"os"
	"syscall"
	"unsafe"
)

// attributes put the program into a group of its own, and let it die with us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// From the kernel's include/uapi/linux/wait.h.
const (
	idPid     = 1          // P_PID
	waitExits = 0x00000004 // WEXITED
	noReap    = 0x01000000 // WNOWAIT
)

// keepsZombies: awaitExit leaves the reaping to others.
const keepsZombies = true

// awaitExit waits until the program has ended, and does not reap it: so long
// its number, and that of its group, is not given to anybody else.
func awaitExit(p *os.Process) (*os.ProcessState, error) {
	var info [128]byte // a siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, idPid, uintptr(p.Pid),
			uintptr(unsafe.Pointer(&info)), waitExits|noReap, 0, 0)
		if errno != syscall.EINTR {
			return nil, nil // an error is the next wait's, too
		}
	}
}
