package transform

// A program is what an exec stage runs: the body of its filter.

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"relayd/lifetime"
	"relayd/lifetime/process"
)

type program struct {
	p     *process.Process
	in    process.Input
	out   programOutput
	site  *Site
	timed chan struct{} // closed when nobody sets the output's deadline any more

	mu   sync.Mutex
	last string // line of standard error
}

// startProgram starts a program. Until it has read something, the system may
// still hold the first bytes that are written to it.
func startProgram(words []string, grace time.Duration, site *Site) (*program, error) {
	in, theirIn, err := process.NewInput()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	g := &program{in: in, site: site, timed: make(chan struct{})}
	g.out.file, g.out.grace, g.out.heard = out, grace, true
	g.p, err = process.Start(context.Background(), process.Command{
		Path: words[0], Args: words[1:],
		Stdin: theirIn, Stdout: theirOut, Input: in, Stderr: g.stderr,
		Grace: grace,
	}, site.Owner)
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go g.time()
	return g, nil
}

// stderr passes a line of standard error on to the log.
func (g *program) stderr(line string) {
	g.mu.Lock()
	g.last = line
	g.mu.Unlock()
	g.site.say(slog.LevelInfo, "stderr", "line", line)
}

// time bounds the output when the program has ended: something that it has
// started may hold it open.
func (g *program) time() {
	defer close(g.timed)
	<-g.p.Exited()
	g.out.bound()
}

func (g *program) Write(p []byte) (int, error) { return g.in.Write(p) }
func (g *program) CloseWrite() error           { return g.in.CloseWrite() }
func (g *program) Read(p []byte) (int, error)  { return g.out.Read(p) }

// Fail lets the program read what was written, then an error, and has it end.
func (g *program) Fail(error) {
	g.in.Close()
	g.p.Resource().BeginDrop()
}

// Kill kills the program and its group. What has left the group may go on, and
// is not read.
func (g *program) Kill() {
	g.p.Kill()
	g.in.Close()
	g.out.kill()
}

// Wait waits for the end of the program and frees all.
func (g *program) Wait() error {
	node := g.p.Resource()
	node.BeginDrop()
	<-node.Done()
	<-g.timed
	g.in.Close()
	g.out.file.Close()
	switch node.End() {
	case lifetime.Dropped, lifetime.Failed:
	default: // somebody above has ended it
		return node.Err()
	}
	if err := g.p.Wait(context.Background()); err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		return &programError{err, g.last}
	}
	return nil
}

// A programError is a program's end that is an error, with the last line that
// it had to say.
type programError struct {
	err  error
	last string
}

// maxLastLine is how much of the last line is shown, in bytes.
const maxLastLine = 200

func (e *programError) Unwrap() error { return e.err }

func (e *programError) Error() string {
	switch {
	case e.last == "":
		return e.err.Error()
	case len(e.last) > maxLastLine:
		return e.err.Error() + ": " + e.last[:maxLastLine] + "…"
	}
	return e.err.Error() + ": " + e.last
}

// A programOutput is our end of a program's standard output. It ends when all
// that have it open have closed it, when it was silent for the grace after the
// program's end, or when it was killed.
type programOutput struct {
	file  *os.File
	grace time.Duration
	heard bool // something since the deadline was set, or since the beginning

	mu     sync.Mutex // held while a deadline is set
	killed bool
}

func (o *programOutput) Read(p []byte) (int, error) {
	for {
		n, err := o.file.Read(p)
		if n > 0 {
			o.heard = true
			return n, nil
		}
		if os.IsTimeout(err) && o.heard && o.bound() {
			o.heard = false
			continue
		}
		return 0, io.EOF // how it has ended is the program's to say
	}
}

// bound sets the deadline, and reports whether it did.
func (o *programOutput) bound() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.killed {
		o.file.SetReadDeadline(time.Now().Add(o.grace))
	}
	return !o.killed
}

func (o *programOutput) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.killed = true
	o.file.SetReadDeadline(time.Unix(1, 0))
}
