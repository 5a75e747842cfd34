// Package stagetest checks that a stage keeps the promises of package
// transform. It is for the tests of stages, listed ones and others.
package stagetest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relayd/transform"
)

// Options says what is known about the stage under test. There are three kinds:
//
//   - one that encodes: set Decode.
//   - one that decodes: set Input to a valid stream, and Want.
//   - one that gives back what it is given: set neither.
type Options struct {
	// Input goes into the stage. Default: some 70 kB, of text that repeats and
	// of noise.
	Input []byte

	// Want is what Input becomes. Default: Input itself, after Decode if
	// there is one.
	Want []byte

	// Decode undoes the stage, and is as interactive as a stage has to be.
	// Default: there is nothing to undo.
	Decode func(src io.Reader) io.ReadCloser

	// Complete says that no beginning of Input is a valid stream, the empty
	// one included: each must end in io.ErrUnexpectedEOF.
	Complete bool

	// Memory is how many bytes the stage may hold, of what garbage collection
	// sees, while it waits for more input and while its output is read slowly.
	// What undoes it is not counted. Default: it is not measured.
	Memory int64

	// Ahead says that the stage reads its source on a goroutine of its own, and
	// not only when it is asked for output, as a stage does that runs a
	// program. It must give back what it is given.
	Ahead bool

	// Late says that the stage holds back what it could hand out, for its work
	// is to be slow: Ready may be false with output pending, but for no longer
	// than this in a row.
	Late time.Duration

	// Timed says that the stage waits by the clock, and for nothing outside of
	// the process: each check runs in a bubble of testing/synctest, where that
	// takes no time.
	Timed bool

	// Stops, if it is not 0, says that the stage ends the stream by itself,
	// after so many bytes of Input, and does not read on. Set Want to
	// what comes of them.
	Stops int
}

// TestStage checks what open returns against the contract of a stage:
//
//   - The same bytes come out however they are cut up on their way in and out.
//   - One byte in comes out before the next is asked for.
//   - The end of the source brings the rest of the output and then io.EOF, for good.
//   - An error of the source comes out unchanged, for good, and after what was read before it.
//   - A stream that is cut off is an error, and never an end.
//   - Close is possible at any moment between two Reads, and twice; it leaves
//     the source open, and Reads after it fail.
//   - Ready does not promise what Read does not keep, and announces output that is there.
//   - No goroutine is left after Close.
//   - What is held is no more than Memory, if that is set.
//
// Memory and goroutines are those of the process: nothing else may run next to
// TestStage. One byte for another is only asked of stages without Want.
func TestStage(t *testing.T, open func(src io.Reader) io.ReadCloser, o Options) {
	t.Helper()
	s := newSubject(open, o)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			check := func(t *testing.T) {
				if err := c.check(s); err != nil {
					t.Error(err)
				}
			}
			if o.Timed {
				synctest.Test(t, check)
			} else {
				check(t)
			}
		})
	}
}

// Chain returns what opens a chain for [TestStage]: to it a chain is a stage,
// but not the empty one, which is its source.
func Chain(c transform.Chain) func(src io.Reader) io.ReadCloser {
	return func(src io.Reader) io.ReadCloser {
		r, closeChain := c.Open(src)
		return &opened{r, closeChain}
	}
}

// opened makes one io.ReadCloser of what Chain.Open returns.
type opened struct {
	io.Reader
	close func() error
}

func (o *opened) Close() error { return o.close() }

func (o *opened) Ready() bool {
	r, ok := o.Reader.(transform.Readier)
	return ok && r.Ready()
}

// The checks return errors, and do not get a testing.T, so that their own test
// can see them fail.
var checks = []struct {
	name  string
	check func(s *subject) error
}{
	{"splits", (*subject).splits},
	{"interactive", (*subject).interactive},
	{"end", (*subject).end},
	{"failure", (*subject).failure},
	{"truncation", (*subject).truncation},
	{"close", (*subject).closing},
	{"ready-honest", (*subject).readyHonest},
	{"ready-complete", (*subject).readyComplete},
	{"goroutines", (*subject).goroutines},
	{"memory", (*subject).memory},
}

// A subject is a stage under test.
type subject struct {
	Options
	open    func(src io.Reader) io.ReadCloser
	decodes bool // Want was given: Input is a whole, and is not cut short

	patience time.Duration // how long an ended goroutine may take to be gone
}

func newSubject(open func(src io.Reader) io.ReadCloser, o Options) *subject {
	s := &subject{Options: o, open: open, decodes: o.Want != nil, patience: 5 * time.Second}
	if s.Input == nil {
		s.Input = mixture()
	}
	if s.Want == nil {
		s.Want = s.Input
	}
	return s
}

// mixture is longer than the blocks and windows of most codecs.
func mixture() []byte {
	var b bytes.Buffer
	noise := rand.New(rand.NewPCG(1, 2))
	for b.Len() < 70_000 {
		b.WriteString(strings.Repeat("all work and no play makes jack a dull boy\n", noise.IntN(50)))
		for range noise.IntN(2000) {
			b.WriteByte(byte(noise.Uint32()))
		}
	}
	return b.Bytes()
}

// whole opens the stage on src, with what undoes it behind.
func (s *subject) whole(src io.Reader) io.ReadCloser {
	stage := s.open(src)
	if s.Decode == nil {
		return stage
	}
	return &pair{s.Decode(stage), stage}
}

// A pair is a stage and the stage that undoes it.
type pair struct {
	io.ReadCloser
	inner io.Closer
}

func (p *pair) Close() error {
	first := p.inner.Close()
	if err := p.ReadCloser.Close(); first == nil {
		first = err
	}
	return first
}

// portion is input for a check that takes its time over each byte, and what
// should come out.
func (s *subject) portion(n int) (input, want []byte) {
	if s.decodes {
		return s.Input, s.Want
	}
	n = min(n, len(s.Input))
	return s.Input[:n], s.Want[:n]
}
