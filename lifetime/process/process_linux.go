package process

import (
	"os"
	"syscall"
	"unsafe"
)

// attributes put the program into a group of its own, and let it die with us.
// A descriptor of it goes to handle, or -1 where the system has none.
func attributes(handle *int) *syscall.SysProcAttr {
	*handle = -1
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: handle}
}

// From the kernel's include/uapi/linux/wait.h.
const (
	idPid     = 1          // P_PID
	waitExits = 0x00000004 // WEXITED
	noReap    = 0x01000000 // WNOWAIT
	noWait    = 0x00000001 // WNOHANG
)

// keepsZombies: awaitExit leaves the reaping to others.
const keepsZombies = true

// awaitExit waits until the program has ended, and does not reap it: so long
// its number, and that of its group, is not given to anybody else. It closes the
// handle.
func awaitExit(p *os.Process, handle int) (*os.ProcessState, error) {
	if handle >= 0 && awaitHandle(p, handle) {
		return nil, nil
	}
	for {
		if _, errno := askExit(p, 0); errno != syscall.EINTR {
			return nil, nil // an error is the next wait's, too
		}
	}
}

// awaitHandle is awaitExit by the runtime's poller: no thread waits. It reports
// whether it could.
func awaitHandle(p *os.Process, handle int) bool {
	syscall.SetNonblock(handle, true)
	f := os.NewFile(uintptr(handle), "pidfd")
	defer f.Close()
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	return c.Read(func(uintptr) bool {
		ended, errno := askExit(p, noWait)
		return ended || errno != 0
	}) == nil
}

// hasEnded reports whether the program has ended, be it that nobody has been
// told yet. It was not reaped.
func hasEnded(p *os.Process) bool {
	ended, _ := askExit(p, noWait)
	return ended
}

// askExit reports whether the program has ended, and waits for that unless the
// flags say noWait.
func askExit(p *os.Process, flags uintptr) (ended bool, errno syscall.Errno) {
	var info [128]byte // a siginfo_t, which begins with the signal: SIGCHLD, or 0
	_, _, errno = syscall.Syscall6(syscall.SYS_WAITID, idPid, uintptr(p.Pid),
		uintptr(unsafe.Pointer(&info)), waitExits|noReap|flags, 0, 0)
	return errno == 0 && [4]byte(info[:4]) != [4]byte{}, errno
}
