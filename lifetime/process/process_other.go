//go:build !linux

package process

import (
	"os"
	"syscall"
)

// attributes put the program into a group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// keepsZombies: awaitExit leaves the reaping to others.
const keepsZombies = false

// awaitExit waits until the program has ended, and reaps it.
func awaitExit(p *os.Process) (*os.ProcessState, error) { return p.Wait() }
