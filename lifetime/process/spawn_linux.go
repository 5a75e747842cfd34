package process

// One thread starts all programs. Linux kills a program when the thread that made
// it ends, so that thread has to live as long as the program. One for each program
// would end us all: the runtime gives up at 10,000 threads, and when the system
// grants no more.

import (
	"os/exec"
	"runtime"
	"sync"
)

// A spawner has the thread, while there are programs.
type spawner struct {
	mu       sync.Mutex
	programs int
	commands chan *command // to the goroutine that has the thread
	ended    chan struct{} // closed when that has left
}

type command struct {
	cmd     *exec.Cmd
	started chan error
}

var spawning spawner

// spawn starts a program. If it does, the caller owes a [spawned] when that has
// ended.
func spawn(cmd *exec.Cmd) error {
	s := &spawning
	s.mu.Lock()
	if s.programs == 0 {
		s.commands, s.ended = make(chan *command), make(chan struct{})
		go work(s.commands, s.ended)
	}
	s.programs++
	commands := s.commands
	s.mu.Unlock()
	c := &command{cmd, make(chan error)}
	commands <- c
	err := <-c.started
	if err != nil {
		spawned()
	}
	return err
}

// spawned says that a program has ended.
func spawned() {
	s := &spawning
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs--; s.programs == 0 {
		close(s.commands)
		<-s.ended
	}
}

// work starts what it is given.
func work(commands <-chan *command, ended chan<- struct{}) {
	defer close(ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for c := range commands {
		c.started <- c.cmd.Start()
	}
}
