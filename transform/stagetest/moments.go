package stagetest

// The check of what is left of a chain that is ended in the middle of its
// stream, at each moment that there is.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/transform"
)

// Moments says what is known about the chain that [TestMoments] ends.
type Moments struct {
	// Input goes into the chain. Default: 4 kB, of text that repeats and of
	// noise.
	Input []byte

	// Early says that the chain may end by itself, well or badly, before its
	// source does.
	Early bool

	// Log gets what the stages say. Nil discards.
	Log *slog.Logger

	// Faults are more that can happen.
	Faults []Fault

	patience time.Duration // with what does not return, or stays
}

// A Fault is something that happens to a chain at work.
type Fault struct {
	Name string
	// Strike makes it happen, in a Read of the source or, if AtReader is set,
	// before a Read of the chain. It returns false if that was not possible any
	// more.
	Strike   func(m *Moment) bool
	AtReader bool
	// Want says what is wrong with the error of the chain, nil being a clean
	// end. Nil: nothing is.
	Want func(err error) error
}

// A Moment is a chain at work, to which something happens. Its methods may be
// called on any goroutine.
type Moment struct {
	owner  ownerNode
	site   *transform.Site
	source momentSource
	gone   atomic.Bool // the reader gives up
	late   atomic.Bool
}

// Fail makes the source fail, from its next Read on.
func (m *Moment) Fail(err error) { m.source.fail(err) }

// Kill does what a relay does to a conn that it cuts.
func (m *Moment) Kill() {
	m.source.fail(errKilled)
	m.site.Cut()
}

// ShutDown does what a relay does when somebody shuts the conn down.
func (m *Moment) ShutDown() {
	m.owner.BeginShutdown(errors.New("stagetest: shut down"))
	m.Kill()
}

// TestMoments opens the chain again and again, and each time lets something
// happen at the next one of its operations: to the first Read of its source, to
// the second, and so on until the stream has ended before; and so to each Read of
// the chain. The source fails, panics, is cut short; the conn is killed, or shut
// down, also while the source has nothing to give; the reader gives up, because
// its destination has failed. Whatever it was:
//
//   - The Read under way returns, with the error that tells what it was.
//   - Close returns nil.
//   - No resource is left below the conn, and no goroutine.
//
// What else could be left (file descriptors, processes) is for the caller to
// look for. The goroutines are those of the process: nothing else may run next to
// TestMoments.
func TestMoments(t *testing.T, c transform.Chain, o Moments) {
	t.Helper()
	o = o.withDefaults()
	for _, f := range append(o.faults(), o.Faults...) {
		t.Run(f.Name, func(t *testing.T) {
			for k := 1; ; k++ {
				struck, err := o.strike(c, f, k)
				if err != nil {
					t.Fatalf("at operation %d: %v", k, err)
				}
				if !struck {
					if k == 1 && !o.Early {
						t.Error("it never happened")
					}
					return
				}
			}
		})
	}
}

func (o Moments) withDefaults() Moments {
	if o.Input == nil {
		o.Input = mixture()[:4000]
	}
	if o.patience == 0 {
		o.patience = 10 * time.Second
	}
	return o
}

// errKilled is the error of a source whose conn was ended by its own side.
var errKilled error = killed{}

type killed struct{}

func (killed) Error() string        { return "stagetest: killed" }
func (killed) Is(target error) bool { return target == net.ErrClosed }

// faults are those that can happen to every chain.
func (o Moments) faults() []Fault {
	return []Fault{
		{Name: "source-fails", Strike: func(m *Moment) bool { m.Fail(errFeed); return true }, Want: func(err error) error {
			if err == errFeed || o.Early && (err == nil || isStage(err)) {
				return nil
			}
			return fmt.Errorf("got the error %v, want the source's own", err)
		}},
		{Name: "source-panics", Strike: func(m *Moment) bool { panic(errPanic) }, Want: func(err error) error {
			var p *transform.PanicError
			if errors.As(err, &p) && p.Value == errPanic || o.Early && (err == nil || isStage(err)) {
				return nil
			}
			return fmt.Errorf("got the error %v, want the panic", err)
		}},
		{Name: "cut-short", Strike: func(m *Moment) bool { m.Fail(io.EOF); return true }, Want: func(err error) error {
			if err == nil || isStage(err) {
				return nil
			}
			return fmt.Errorf("got the error %v, want a stage's, or none", err)
		}},
		{Name: "killed", Strike: (*Moment).killed, Want: o.wantClosed},
		{Name: "killed-at-reader", Strike: (*Moment).killed, AtReader: true, Want: wantClosedOrEnd},
		{Name: "killed-in-silence", Strike: (*Moment).killedInSilence, Want: o.wantClosed},
		{Name: "shut-down", Strike: (*Moment).shutDown, Want: o.wantClosed},
		{Name: "shut-down-at-reader", Strike: (*Moment).shutDown, AtReader: true, Want: wantClosedOrEnd},
		{Name: "reader-gives-up", Strike: func(m *Moment) bool { m.gone.Store(true); return true }, AtReader: true},
	}
}

var errPanic = errors.New("stagetest: the source panicked")

func (m *Moment) killed() bool {
	m.Kill()
	return true
}

func (m *Moment) shutDown() bool {
	m.ShutDown()
	return true
}

// killedInSilence has the source wait until it fails.
func (m *Moment) killedInSilence() bool {
	go m.Kill()
	<-m.source.failed
	return true
}

func isStage(err error) bool {
	var stage *transform.Error
	return errors.As(err, &stage)
}

func (o Moments) wantClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || o.Early && (err == nil || isStage(err)) {
		return nil
	}
	return fmt.Errorf("got the error %v, want one that is net.ErrClosed", err)
}

// wantClosedOrEnd is for what may have come after the chain's own end.
func wantClosedOrEnd(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) || isStage(err) {
		return nil
	}
	return fmt.Errorf("got the error %v, want one that is net.ErrClosed", err)
}

const (
	momentPiece = 700 // bytes that one Read of the source returns
	momentRead  = 500 // bytes that one Read of the chain asks for
)

// strike runs one stream to which f happens at operation k.
func (o Moments) strike(c transform.Chain, f Fault, k int) (struck bool, err error) {
	before := runtime.NumGoroutine()
	m := &Moment{}
	if err := ownerKind.Init(&m.owner, nil, lifetime.Refcount); err != nil {
		return false, err
	}
	m.site = &transform.Site{Conn: "c1", Direction: "up", Client: "192.0.2.1:1", Upstream: "192.0.2.2:2", Log: o.Log, Owner: &m.owner.Node}
	m.source = momentSource{input: o.Input, failed: make(chan struct{})}
	var did atomic.Bool
	happen := func() {
		did.Store(true) // also of one that panics
		did.Store(f.Strike(m))
	}
	if !f.AtReader {
		m.source.at, m.source.strike = k, happen
	}
	late := time.AfterFunc(o.patience, m.giveUp)
	defer late.Stop()
	r, closeChain := c.OpenAt(&m.source, m.site)
	for n := 1; err == nil && !m.gone.Load(); n++ {
		if f.AtReader && n == k {
			happen()
		}
		if !m.gone.Load() {
			_, err = r.Read(make([]byte, momentRead))
		}
	}
	m.Kill()
	if cerr := closeChain(); cerr != nil {
		return true, fmt.Errorf("close: %w", cerr)
	}
	switch {
	case m.late.Load():
		return true, fmt.Errorf("a Read or Close has not returned within %v", o.patience)
	case err == io.EOF:
		err = nil
	}
	if did.Load() && f.Want != nil {
		if err := f.Want(err); err != nil {
			return true, err
		}
	}
	return did.Load(), m.left(before, o.patience)
}

func (m *Moment) giveUp() {
	m.late.Store(true)
	m.Kill()
}

// left says what is left of a chain that was closed.
func (m *Moment) left(before int, patience time.Duration) error {
	m.owner.BeginDrop()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-m.owner.Done():
	case <-timer.C:
		return errors.New("a resource is left below the conn")
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			return fmt.Errorf("%d goroutines are left", runtime.NumGoroutine()-before)
		}
	}
	return nil
}

// An ownerNode stands for the conn.
type ownerNode struct{ lifetime.Node }

var ownerKind = lifetime.NewKind(lifetime.Hooks[ownerNode]{Name: "conn"})

// A momentSource gives its input in pieces, until it is made to fail.
type momentSource struct {
	input  []byte
	reads  int
	at     int // the Read in which something happens
	strike func()

	mu     sync.Mutex
	err    error
	failed chan struct{} // closed when err is set
}

func (s *momentSource) Read(p []byte) (int, error) {
	if s.reads++; s.reads == s.at {
		s.strike()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), momentPiece)], s.input)
	s.input = s.input[n:]
	return n, nil
}

// fail sets the error, once.
func (s *momentSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.failed)
	}
}
