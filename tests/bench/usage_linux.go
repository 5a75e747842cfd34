// The usage of a relay is what the kernel accounts to its processes.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// A usage is that of a process and all its descendants.
type usage struct {
	cpu    time.Duration
	memory int64 // proportional set size in bytes
	fds    int
}

// A process is one line of /proc/PID/stat.
type process struct {
	pid, parent int
	waited      time.Duration // the CPU time of children that it has waited for
}

// tick is the unit of times in /proc, the same on all of Linux's systems.
const tick = 10 * time.Millisecond

// descendants returns a process and all below it.
func descendants(root int) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]process)
	var tree []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := readStat(pid)
		if err != nil {
			continue // it has ended since
		}
		if pid == root {
			tree = append(tree, p)
		} else {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	if len(tree) == 0 {
		return nil, fmt.Errorf("process %d has ended", root)
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree, nil
}

func readStat(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name, in parentheses, may have anything in it. State is the field
	// after it, number 3.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const first, ppid, cutime, cstime = 3, 4, 16, 17
	if len(f) <= cstime-first {
		return process{}, fmt.Errorf("process %d: stat has %d fields", pid, len(f))
	}
	p := process{pid: pid}
	p.parent, _ = strconv.Atoi(string(f[ppid-first]))
	for _, i := range []int{cutime, cstime} {
		ticks, _ := strconv.ParseInt(string(f[i-first]), 10, 64)
		p.waited += time.Duration(ticks) * tick
	}
	return p, nil
}

// cpuOf returns the CPU time of a process and its descendants, dead or alive.
func cpuOf(root int) (time.Duration, error) {
	tree, err := descendants(root)
	if err != nil {
		return 0, err
	}
	sum := time.Duration(0)
	for _, p := range tree {
		sum += p.waited
		if own, err := cpuClock(p.pid); err == nil {
			sum += own
		}
	}
	return sum, nil
}

// cpuClock reads the CPU-time clock of a process: all of its threads, also those
// that have ended. What /proc says of it is the same, cut off at ticks.
func cpuClock(pid int) (time.Duration, error) {
	const sched = 2 // of the clocks of a process the one that counts what ran
	id := ^int32(pid)<<3 | sched
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(ts.Nano()), nil
}

// usageOf returns the usage of a process and its descendants.
func usageOf(root int) (usage, error) {
	var u usage
	tree, err := descendants(root)
	if err != nil {
		return u, err
	}
	if u.cpu, err = cpuOf(root); err != nil {
		return u, err
	}
	for _, p := range tree {
		dir := fmt.Sprintf("/proc/%d", p.pid)
		memory, err := proportional(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended since
		}
		if err != nil {
			return u, err
		}
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return u, err
		}
		u.memory += memory
		u.fds += len(fds)
	}
	return u, nil
}

// proportional returns the proportional set size of a process.
func proportional(dir string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "Pss:" {
			kB, err := strconv.ParseInt(string(f[1]), 10, 64)
			return kB << 10, err
		}
	}
	return 0, nil // it has ended, and has no memory
}
