// What bench asks of the system: descriptors, and processes in groups.

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// raiseFiles raises the limit of open files to the most that this process may
// have, for its children too, and returns it.
func raiseFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	// Even if it is that already: Go gives its children the limit it was started
	// with, unless it was set.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// inGroup makes a command the first of a process group: its descendants can be
// ended with it, and a Ctrl-C at the terminal does not reach them.
func inGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends all processes of a group.
func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

// kernel returns the kernel's name and release.
func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var b strings.Builder
	b.WriteString("Linux ")
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
