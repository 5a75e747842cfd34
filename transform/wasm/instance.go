package wasm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"relayd/lifetime"
	"relayd/transform"
)

// grace is how long an instance may take to end when its source has failed.
const grace = 2 * time.Second

// An instance is a module at work on one stream: the body of a filter. The
// module runs on a goroutine of its own, between two pipes.
type instance struct {
	node   lifetime.Node
	ctx    context.Context // ends when the module is to end at once
	cancel context.CancelFunc

	module *module // kept while code of it runs
	config wazero.ModuleConfig
	site   *transform.Site

	inRead   *io.PipeReader // the module's
	in       *io.PipeWriter
	out      *io.PipeReader
	outWrite *io.PipeWriter // the module's
	stderr   lines

	ours  atomic.Bool                // it was to end: how it did is no error
	late  atomic.Pointer[time.Timer] // ends it, after Fail
	ended error                      // valid when the node is done
}

var instanceKind = lifetime.NewKind(lifetime.Hooks[instance]{
	Name:      "wasm",
	Interrupt: (*instance).interrupt,
})

var (
	errEnded  = errors.New("the module has ended")
	errKilled = errors.New("the module is to end")
)

// start runs a module.
func start(c *config, at *transform.Site) (*instance, error) {
	i := &instance{module: c.module, site: at}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	i.inRead, i.in = io.Pipe()
	i.out, i.outWrite = io.Pipe()
	i.stderr.say = i.say
	i.config = i.configure(c)
	if err := instanceKind.Init(i, at.Owner, lifetime.Refcount); err != nil {
		i.cancel()
		return nil, err
	}
	if err := i.node.Enter(); err != nil {
		i.cancel()
		i.node.BeginDrop()
		return nil, err
	}
	go i.run()
	return i, nil
}

// configure says what the module is given. The zero configuration gives nothing,
// not even the time.
func (i *instance) configure(c *config) wazero.ModuleConfig {
	m := wazero.NewModuleConfig().
		WithName(""). // so that there can be several
		WithArgs(append([]string{c.name}, c.args...)...).
		WithStdin(i.inRead).WithStdout(i.outWrite).WithStderr(&i.stderr).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep).
		WithRandSource(rand.Reader)
	for _, w := range c.env {
		name, value, _ := strings.Cut(w, "=")
		m = m.WithEnv(name, value)
	}
	return m
}

// run is the module's life, and an operation on the resource.
func (i *instance) run() {
	defer i.node.Leave()
	i.ended = i.verdict(i.call())
	i.stderr.end()
	if i.ended != nil {
		i.node.Ended(lifetime.Failed, i.ended)
	}
	i.inRead.CloseWithError(errEnded)
	i.outWrite.Close()
	i.cancel()
	if t := i.late.Load(); t != nil {
		t.Stop()
	}
}

// call runs the module from its beginning to its end. A panic is a fault of the
// runtime, which must not take the process along.
func (i *instance) call() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	m, err := i.module.runtime.InstantiateModule(i.ctx, i.module.compiled, i.config)
	if m != nil {
		m.Close(context.Background())
	}
	return err
}

// verdict is what the stage makes of the module's end.
func (i *instance) verdict(err error) error {
	var exit *sys.ExitError
	switch isExit := errors.As(err, &exit); {
	case err == nil || isExit && exit.ExitCode() == 0 || i.ours.Load():
		return nil
	case isExit && i.stderr.last != "":
		return fmt.Errorf("the module exited with code %d: %s", exit.ExitCode(), i.stderr.last)
	case isExit:
		return fmt.Errorf("the module exited with code %d", exit.ExitCode())
	}
	// The first line says what, the others where.
	what, where, _ := strings.Cut(err.Error(), "\n")
	if where != "" {
		i.site.Say(slog.LevelInfo, "trap", "line", strings.TrimSpace(where))
	}
	what = strings.TrimSuffix(strings.TrimPrefix(what, "module[] function[_start] failed: "), " (recovered by wazero)")
	return fmt.Errorf("the module trapped: %s", strings.TrimPrefix(what, "wasm error: "))
}

// sleep is how the module sleeps.
func (i *instance) sleep(ns int64) {
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-i.ctx.Done():
	}
}

func (i *instance) say(line string) { i.site.Say(slog.LevelInfo, "stderr", "line", line) }

// interrupt ends the module, if the end is not a drop: that is Wait's.
func (i *instance) interrupt(cause error) {
	if !errors.Is(cause, lifetime.ErrDropped) {
		i.Kill()
	}
}

func (i *instance) Write(p []byte) (int, error) { return i.in.Write(p) }
func (i *instance) CloseWrite() error           { return i.in.Close() }
func (i *instance) Read(p []byte) (int, error)  { return i.out.Read(p) }

// Fail has the module's reads fail, after those of what came before.
func (i *instance) Fail(err error) {
	i.ours.Store(true)
	late := time.AfterFunc(grace, i.Kill)
	i.late.Store(late)
	if i.ctx.Err() != nil { // it has ended
		late.Stop()
	}
	i.in.CloseWithError(err)
}

// Kill ends the module: whether it computes, reads, writes or sleeps.
func (i *instance) Kill() {
	i.ours.Store(true)
	i.cancel()
	i.in.CloseWithError(errKilled)
	i.out.CloseWithError(errKilled)
}

// Wait waits for the module's end.
func (i *instance) Wait() error {
	i.node.BeginDrop()
	<-i.node.Done()
	switch i.node.End() {
	case lifetime.Dropped, lifetime.Failed:
		return i.ended
	}
	return i.node.Err() // somebody above has ended it
}
