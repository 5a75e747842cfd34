package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"relayd/lifetime"
)

// A Command says what to run.
type Command struct {
	Path string   // of the program: with a slash in it, PATH is not searched
	Args []string // without the program's name
	Env  []string // nil: our own environment

	// Stdin and Stdout are the program's. The caller keeps its copies and
	// closes them. Nil is /dev/null.
	Stdin, Stdout *os.File
	// Input, if not nil, is the caller's end of Stdin. If the program has started
	// it is closed at the latest when the program was reaped: see [Ends].
	Input Input
	// Stderr is called with each line that the program writes to its standard
	// error, without the newline, in order, from one goroutine. What exceeds
	// 4096 bytes of a line is cut off. It must not wait. Nil discards.
	Stderr func(line string)

	// Grace is how long the program may take to end by itself, after the last
	// holder has gone, and again after SIGTERM. Zero means 2s; negative none:
	// SIGKILL at once.
	Grace time.Duration
	// Drained, if not nil, delays the first grace until it is closed: it is
	// for whoever has to finish a conversation with the program, after the
	// last holder has gone. A shutdown does not wait for it.
	Drained <-chan struct{}
}

const defaultGrace = 2 * time.Second

// A Process is a program that was started.
type Process struct {
	node  lifetime.Node
	c     Command
	cmd   *exec.Cmd
	lines *os.File // we read standard error here; nil if nobody wants it

	// handle is a descriptor of the program, until awaitExit has it; -1 where
	// there is none.
	handle int

	exited chan struct{} // closed when the program has ended
	reaped chan struct{} // closed when exit is known, too
	stop   event         // the last holder has gone
	kill   event         // a shutdown, a trap
	exit   ExitError     // valid when reaped
	asked  atomic.Bool   // SIGTERM was sent
	killed atomic.Bool   // SIGKILL was sent
}

var processKind = lifetime.NewKind(lifetime.Hooks[Process]{
	Name:      "process",
	Interrupt: (*Process).interrupt,
	Owed:      (*Process).retired,
	// The life of the program is one operation on the resource, which is not
	// released before it has left. There is nothing else to drain.
	Drain: func(*Process, context.Context) error { return nil },
})

// An event happens once.
type event struct {
	once sync.Once
	c    chan struct{}
}

func (e *event) set() { e.once.Do(func() { close(e.c) }) }

// Start runs a command, below parent, or as a root if parent is nil. ctx bounds
// the start only. The policy is [lifetime.Refcount]: an owner that has put
// something below the process may drop it at once.
func Start(ctx context.Context, c Command, parent *lifetime.Node) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{c.Path, err}
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	p := &Process{c: c, exited: make(chan struct{}), reaped: make(chan struct{})}
	p.stop.c, p.kill.c = make(chan struct{}), make(chan struct{})
	child, err := p.prepare()
	if err != nil {
		return nil, &Error{c.Path, err}
	}
	if err := processKind.Init(p, parent, lifetime.Refcount); err != nil {
		p.closeLines()
		child.Close()
		return nil, &Error{c.Path, err}
	}
	started := make(chan error)
	err = p.node.Enter()
	if err == nil {
		go p.run(started)
		err = <-started
	} else { // it was shut down this moment
		p.closeLines()
	}
	child.Close()
	if err != nil {
		p.node.BeginDrop()
		return nil, &Error{c.Path, err}
	}
	return p, nil
}

// prepare makes the command. It returns the program's end of standard error,
// which is to be closed when the program has its copy.
func (p *Process) prepare() (stderr *os.File, err error) {
	p.cmd = exec.Command(p.c.Path, p.c.Args...)
	p.cmd.Env = p.c.Env
	p.cmd.SysProcAttr = attributes(&p.handle)
	// A nil *os.File must not become an io.Reader that is not nil.
	if p.c.Stdin != nil {
		p.cmd.Stdin = p.c.Stdin
	}
	if p.c.Stdout != nil {
		p.cmd.Stdout = p.c.Stdout
	}
	if p.c.Stderr == nil {
		return nil, nil
	}
	// A file, and not a writer: exec would wait for the end of it, which a
	// child of the program may put off for ever.
	p.lines, stderr, err = os.Pipe()
	if err == nil {
		p.cmd.Stderr = stderr
	}
	return stderr, err
}

// Resource returns the process's place in the tree. Done is closed after the
// program was reaped.
func (p *Process) Resource() *lifetime.Node { return &p.node }

// Ends returns what a resource was started with if it is a process: its input, and
// the program's own ends, which are the caller's as well until the program has
// started. Some are closed by now. It is for who counts descriptors: they belong
// to whoever has started the process, and stand in the tree nowhere else.
func Ends(n *lifetime.Node) (ends []any) {
	p, ok := processKind.Of(n)
	if !ok {
		return nil
	}
	if p.c.Input != nil {
		ends = append(ends, p.c.Input)
	}
	for _, f := range []*os.File{p.c.Stdin, p.c.Stdout} {
		if f != nil {
			ends = append(ends, f)
		}
	}
	return ends
}

// Pid returns the process id of the program, which is its group's too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited returns a channel that is closed when the program has ended. How is
// known when it was reaped; see [Process.Wait].
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Wait waits until the program was reaped, which takes a drop or a shutdown, or
// ctx ends. It returns nil if the program succeeded or was ended by us, and
// otherwise an [*ExitError].
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.reaped:
		return p.failure()
	case <-ctx.Done():
		return &Error{p.c.Path, context.Cause(ctx)}
	}
}

// Kill ends the program and its group at once. The resource is still to be
// dropped.
func (p *Process) Kill() { p.kill.set() }

// interrupt wakes run, if the end is not a drop: that lets the program go on.
func (p *Process) interrupt(cause error) {
	if !errors.Is(cause, lifetime.ErrDropped) {
		p.kill.set()
	}
}

// retired is called when the last holder has gone.
func (p *Process) retired() bool {
	p.stop.set()
	return false
}

// An ExitError says how a program ended that did not succeed.
type ExitError struct {
	Path   string
	Code   int            // -1 if a signal ended it
	Signal syscall.Signal // 0 if it exited
}

// Error says which program, and its exit code or the signal.
func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("%s was ended by %v", e.Path, e.Signal)
	}
	return fmt.Sprintf("%s exited with code %d", e.Path, e.Code)
}

// An Error is a program that could not be started or waited for.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
