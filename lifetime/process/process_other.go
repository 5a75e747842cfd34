//go:build !linux

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// attributes put the program into a group of its own.
func attributes(*int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// spawn starts a program. If it does, the caller owes a [spawned] when that has
// ended.
func spawn(cmd *exec.Cmd) error { return cmd.Start() }

func spawned() {}

// keepsZombies: awaitExit leaves the reaping to others.
const keepsZombies = false

// awaitExit waits until the program has ended, and reaps it.
func awaitExit(p *os.Process, _ int) (*os.ProcessState, error) { return p.Wait() }

// hasEnded cannot tell: awaitExit may be reaping the program.
func hasEnded(*os.Process) bool { return false }
