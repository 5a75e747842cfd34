// A role is what a process of bench is.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// roleVar names the environment's variable that has a process's role. Without it
// a process is bench itself.
const roleVar = "RELAYD_BENCH_ROLE"

const (
	roleBackend = "backend"
	roleKeeper  = "keeper"
	roleLoad    = "load"
	roleNaive   = "naive"
	roleStaged  = "staged"
)

// roles are the bodies, each with the arguments of its process.
var roles = map[string]func(args []string) error{
	roleBackend: func([]string) error { return serveBackend(os.Stdin, os.Stdout) },
	roleKeeper:  func(args []string) error { return keep(os.Stdin, args[0]) },
	roleLoad:    func([]string) error { return runLoad(os.Stdin, os.Stdout) },
	roleNaive:   func(args []string) error { return serveNaive(args[0], args[1]) },
	roleStaged:  func(args []string) error { return serveStaged(args[0], args[1], args[2]) },
}

// playRole runs this process's role, if it has one.
func playRole() (played bool, err error) {
	name, ok := os.LookupEnv(roleVar)
	if !ok {
		return false, nil
	}
	body, ok := roles[name]
	if !ok {
		return true, fmt.Errorf("%s=%s: no such role", roleVar, name)
	}
	// Bench ends its processes itself, in its order.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	if _, err := raiseFiles(); err != nil {
		return true, err
	}
	if err := body(os.Args[1:]); err != nil {
		return true, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// role returns the command for a process of this program in a role.
func role(name string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleVar+"="+name)
	return cmd, nil
}
