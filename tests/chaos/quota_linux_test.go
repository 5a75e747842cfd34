package chaos

import (
	"math/rand/v2"
	"syscall"
	"time"
)

// What the kernel gives an ordinary user of pipes: pages, all in all (pipe(7),
// pipe-user-pages-soft, 64 MiB). Once they are used up, pipes are of two pages, and
// cannot be made larger: the relay copies then.
const (
	fSetPipeSize = 1031 // F_SETPIPE_SZ of linux/fcntl.h
	largePipe    = 1 << 20
	leastPipe    = 32 << 10 // less than the relay splices through
	mostPipes    = 200      // who gets more has no quota
)

// exhaustPipes takes all the pipes that this user may have, for a moment. It did
// so only if in the end the kernel refused.
func exhaustPipes(e *episode, r *rand.Rand) int {
	taken, refused := takePipes()
	if refused {
		pause(e.calm, time.Duration(r.Int64N(int64(200*time.Millisecond))))
	}
	for _, fd := range taken {
		syscall.Close(fd)
	}
	if !refused {
		return 0
	}
	return 1
}

// takePipes makes pipes, ever smaller ones, until there are none of a size that is
// worth splicing through.
func takePipes() (taken []int, refused bool) {
	for size := uintptr(largePipe); size >= leastPipe; {
		var fds [2]int
		if len(taken) > 2*mostPipes || syscall.Pipe2(fds[:], syscall.O_CLOEXEC) != nil {
			return taken, false
		}
		taken = append(taken, fds[0], fds[1])
		_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fds[0]), fSetPipeSize, size)
		switch errno {
		case 0:
		case syscall.EPERM:
			size /= 2
		default:
			return taken, false
		}
	}
	return taken, true
}
