package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"relayd/lifetime"
)

// run is the life of the program, and an operation on the resource. It reports
// the start's outcome.
func (p *Process) run(started chan<- error) {
	defer p.node.Leave()
	if err := spawn(p.cmd); err != nil {
		p.closeLines()
		started <- startError(err)
		return
	}
	defer spawned()
	var read chan struct{}
	if p.lines != nil {
		read = make(chan struct{})
		go p.readLines(read)
	}
	ended := make(chan struct{})
	go p.conduct(ended)
	started <- nil

	state, err := awaitExit(p.cmd.Process, p.handle)
	close(p.exited)
	<-ended
	p.reap(state, err)
	if read != nil {
		// Whatever has left the group may keep standard error open.
		p.lines.SetReadDeadline(time.Now().Add(lastLines))
		<-read
	}
	p.closeLines()
	if p.c.Input != nil { // nobody reads it any more, and nobody else may be there to close it soon
		p.c.Input.Close()
	}
}

// lastLines is how long standard error is read after the program's end: what it
// has written is there at once.
const lastLines = 250 * time.Millisecond

// conduct ends the program when it is time, and returns when the program has
// ended and its group is no longer wanted.
func (p *Process) conduct(ended chan<- struct{}) {
	defer close(ended)
	select {
	case <-p.stop.c:
		p.finish()
	case <-p.kill.c:
	}
	// Until it is reaped its number is nobody else's, and so is the group's.
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// finish gives the program time to end: by itself, and then after SIGTERM.
func (p *Process) finish() {
	if p.c.Drained != nil && !p.await(p.c.Drained, -1) {
		return
	}
	if p.c.Grace > 0 && p.await(nil, p.c.Grace) {
		p.signal(syscall.SIGTERM)
		p.await(nil, p.c.Grace)
	}
}

// await reports whether c was closed or the time is up, and not sooner the
// program ended or was to be killed.
func (p *Process) await(c <-chan struct{}, d time.Duration) bool {
	var up <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		up = t.C
	}
	select {
	case <-c:
		return true
	case <-up:
		return true
	case <-p.exited:
		return false
	case <-p.kill.c:
		return false
	}
}

// signal signals the group. On systems that cannot wait without reaping, the
// number may be somebody else's after the end: then it is left alone.
func (p *Process) signal(s syscall.Signal) {
	select {
	case <-p.exited:
		if !keepsZombies {
			return
		}
		// This is for the rest of the group: the program's end is not our doing.
	default:
		switch {
		case hasEnded(p.cmd.Process): // the same, and run is yet to hear of it
		case s == syscall.SIGTERM:
			p.asked.Store(true)
		case s == syscall.SIGKILL:
			p.killed.Store(true)
		}
	}
	syscall.Kill(-p.cmd.Process.Pid, s)
}

// reap notes how the program ended, and takes it from the system if awaitExit
// has not.
func (p *Process) reap(state *os.ProcessState, err error) {
	defer close(p.reaped)
	if state == nil && err == nil {
		state, err = p.cmd.Process.Wait()
	}
	p.exit = ExitError{Path: p.c.Path, Code: -1}
	if err != nil {
		p.node.Ended(lifetime.Failed, &Error{p.c.Path, err})
		return
	}
	p.exit.Code = state.ExitCode()
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		p.exit.Signal = s.Signal()
	}
	if err := p.failure(); err != nil {
		p.node.Ended(lifetime.Failed, err)
	}
}

// failure returns nil if the program succeeded or was ended by us. It was
// reaped.
func (p *Process) failure() error {
	if p.exit.Code == 0 || p.ours() {
		return nil
	}
	return &p.exit
}

// ours reports whether the program did not end by itself. A program that was
// asked to may exit as it likes, but nobody kills himself: that was somebody else,
// if not we. One that was to be killed may have exited the moment before.
func (p *Process) ours() bool {
	if p.exit.Signal == syscall.SIGKILL {
		return p.killed.Load()
	}
	return p.asked.Load()
}

// startError takes the wrapping off an error of package exec: the path is said
// once.
func startError(err error) error {
	var path *os.PathError
	var lookup *exec.Error
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &lookup):
		return lookup.Err
	}
	return err
}
