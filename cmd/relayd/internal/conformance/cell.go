package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"relayd/lifetime"
	"relayd/socket"
)

// patience bounds every cell, and roundPatience is what a round adds: nothing
// may hang. Some cells move a quarter of a gigabyte, on a machine that may have
// more to do.
const (
	patience      = time.Minute
	roundPatience = 20 * time.Millisecond
)

// errCell is the cause of the shutdowns here.
var errCell = errors.New("the matrix says so")

// A root is above all resources of a cell, so that what is left is seen.
type root struct{ lifetime.Node }

var rootKind = lifetime.NewKind(lifetime.Hooks[root]{Name: "conformance"})

// A cell is one row under one column over one kind, as it runs.
type cell struct {
	ctx    context.Context
	row    *row
	column column
	kind   kind
	rounds int

	root        root
	mu          sync.Mutex
	listener    net.Listener
	source      *socket.Listener
	folder      string
	paths       int    // made in folder
	certificate string // a file in it, of the kind tls; "" before

	diffs []string // what differed
	notes []Fact   // what was measured
}

// run runs the cell and returns what differed.
func (c *cell) run(ctx context.Context) []string {
	var cancel context.CancelFunc
	bound := patience + time.Duration(c.rounds)*roundPatience
	if c.kind == tlsKind {
		c.rounds = max(1, c.rounds/tlsRounds)
		bound += patience
	}
	c.ctx, cancel = context.WithTimeout(ctx, bound)
	defer cancel()
	if err := rootKind.Init(&c.root, nil, lifetime.Refcount); err != nil {
		return []string{err.Error()}
	}
	err := c.playSafely()
	if err != nil {
		c.differ("%v", err)
	}
	c.leave()
	return c.diffs
}

// playSafely turns a panic into an error, so that the cell is cleaned up.
func (c *cell) playSafely() (err error) {
	defer recovered(&err)
	return c.play()
}

func recovered(err *error) {
	p := recover()
	if p == nil {
		return
	}
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	for panicked := false; ; {
		f, more := frames.Next()
		if panicked && !strings.HasPrefix(f.Function, "runtime.") || !more {
			*err = fmt.Errorf("panic: %v, at %s:%d", p, filepath.Base(f.File), f.Line)
			return
		}
		panicked = panicked || f.Function == "runtime.gopanic"
	}
}

// play runs whatever the cell is.
func (c *cell) play() error {
	switch {
	case c.column == shutdown && c.row.forced != nil:
		return c.row.forced(c)
	case c.column == shutdown:
		return c.forceScripts()
	case c.row.run != nil:
		if err := c.row.run(c); err != nil {
			return err
		}
	}
	for i, s := range c.row.scripts {
		if !s.has(c.column) {
			continue
		}
		if err := c.playScript(s); err != nil {
			if len(c.row.scripts) > 1 {
				return fmt.Errorf("variant %d (%s): %w", i+1, s, err)
			}
			return err
		}
	}
	return nil
}

// leave checks that nothing of the cell is left, and takes away what is.
func (c *cell) leave() {
	if left := lifetime.Snapshot(&c.root.Node); len(left) > 1 {
		for _, i := range left[1:] {
			c.differ("left behind: %s, %v, %d children, %d operations", i.Name, i.State, i.Children, i.Operations)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.root.Shutdown(ctx, errCell); err != nil {
		c.differ("cleaning up: %v", err)
	}
	if (*lifetime.Node)(nil).Find(c.root.ID()) != nil {
		c.differ("the cell's root is in the tree after its release")
	}
	c.dropSource()
	if c.listener != nil {
		c.listener.Close()
	}
	if c.folder != "" {
		os.RemoveAll(c.folder)
	}
}

// differ records a difference.
func (c *cell) differ(format string, args ...any) {
	c.diffs = append(c.diffs, fmt.Sprintf(format, args...))
}

// expect records a difference unless err is the outcome that want names.
func (c *cell) expect(what string, err error, want string) {
	if got := c.word(err); got != want {
		c.differ("%s: %s; want %s", what, got, want)
	}
}

// note records a measurement.
func (c *cell) note(format string, args ...any) {
	c.notes = append(c.notes, Fact{Row: c.row.number, Kind: c.kind.String(), Policy: c.column.String(), Text: fmt.Sprintf(format, args...)})
}

// noteNaive records a measurement of a plain connection.
func (c *cell) noteNaive(format string, args ...any) {
	c.note(format, args...)
	c.notes[len(c.notes)-1].Naive = true
}

// poll looks until ok is true, and reports whether it was in time.
func (c *cell) poll(ok func() bool) bool {
	if ok() {
		return true
	}
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if ok() {
				return true
			}
		case <-c.ctx.Done():
			return ok()
		}
	}
}

// released waits until a resource is released.
func (c *cell) released(n *lifetime.Node) error {
	select {
	case <-n.Done():
		return nil
	case <-c.ctx.Done():
		return fmt.Errorf("%s is %v, not released within %v", n.Name(), n.State(), patience)
	}
}

// String returns the script's events.
func (s script) String() string {
	texts := make([]string, len(s))
	for i, st := range s {
		texts[i] = st.event.text
	}
	return strings.Join(texts, ", ")
}
