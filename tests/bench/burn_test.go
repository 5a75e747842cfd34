package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// burn uses up CPU time: in a thread that ends before it tells so, or in a child.
// It stays until its input ends.
func burn(how string, in io.Reader, out io.Writer) error {
	switch how {
	case "thread":
		var thread sync.WaitGroup
		thread.Go(burnThread)
		thread.Wait()
	case "child":
		cmd, err := role("burner", "once")
		if err != nil {
			return err
		}
		if err := cmd.Run(); err != nil {
			return err
		}
	case "once":
		burnFor(burnt)
		return nil
	}
	fmt.Fprintln(out, "burnt")
	_, err := io.Copy(io.Discard, in)
	return err
}

// burnt is how much, and a tick more than a test may miss of it.
const burnt = 60 * time.Millisecond

// burnThread burns in a thread of its own, that ends with it.
func burnThread() {
	runtime.LockOSThread() // and never unlocks
	burnFor(burnt)
}

// burnFor burns until the kernel says that it was enough.
func burnFor(d time.Duration) {
	start := spent()
	for spent()-start < d {
		for i := range 1 << 16 {
			sink := i * i
			_ = sink
		}
	}
}

func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
