package stagetest

// The checks of how a stage behaves toward the others: Close, Ready,
// goroutines.

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"relayd/transform"
)

func (s *subject) closing() error {
	for _, end := range []error{nil, errFeed} {
		for reads := range 40 {
			f := &feed{input: s.Input, size: func() int { return 100 }, end: end}
			if err := closes(s.open(f), f, reads, 16); err != nil {
				return fmt.Errorf("closed after %d Reads: %w", reads, err)
			}
		}
		f := &feed{input: s.Input, end: end}
		if err := closes(s.open(f), f, 1<<30, 64<<10); err != nil {
			return fmt.Errorf("closed after the end (%v): %w", end, err)
		}
	}
	return nil
}

func closes(r io.ReadCloser, f *feed, reads, size int) error {
	buf := make([]byte, size)
	var ended error
	for range reads {
		if _, ended = r.Read(buf); ended != nil {
			break
		}
	}
	for i := range 2 {
		if err := r.Close(); err != nil {
			return fmt.Errorf("Close number %d: %w", i+1, err)
		}
	}
	n, err := r.Read(buf)
	switch {
	case n != 0 || err == nil:
		return fmt.Errorf("Read after Close: got %d, %v; want an error", n, err)
	case ended != nil && err != ended:
		return fmt.Errorf("Read after Close: got %v, want %v as before", err, ended)
	case ended == nil && err == io.EOF:
		return errors.New("Read after Close: got EOF, want an error: the stream had not ended")
	case f.closed:
		return errors.New("Close closed the source")
	}
	return nil
}

// readyHonest wants no Read to wait after Ready was true.
func (s *subject) readyHonest() error {
	if s.Ahead {
		return s.readyAhead()
	}
	for _, size := range []int{1, 100, 64 << 10} {
		for _, piece := range []int{1, 50, 3000} {
			input, _ := s.portion(1000 * piece)
			v := &visitor{pieces: pieces(input, piece)}
			r := s.open(readyVisitor{v})
			defer r.Close()
			ready, ok := r.(transform.Readier)
			if !ok {
				return errors.New("the stage is no transform.Readier")
			}
			buf := make([]byte, size)
			for err := error(nil); err == nil; {
				promised, before := ready.Ready(), v.waits
				_, err = r.Read(buf)
				if err != nil && err != io.EOF {
					return err
				}
				if promised && v.waits > before {
					return fmt.Errorf("in by %d, out by %d: Ready was true and Read waited", piece, size)
				}
			}
			if !ready.Ready() {
				return errors.New("Ready is false after the end, where Read does not wait")
			}
		}
	}
	return nil
}

// readyComplete wants all of a message's output to be announced: after one
// Read, what is read while Ready is true has to be all of it.
func (s *subject) readyComplete() error {
	if s.decodes {
		return nil
	}
	message, _ := s.portion(2000)
	for _, size := range []int{1, 100, 64 << 10} {
		r := s.open(readyVisitor{&visitor{pieces: [][]byte{message}}})
		defer r.Close()
		ready, ok := r.(transform.Readier)
		if !ok {
			return errors.New("the stage is no transform.Readier")
		}
		var out []byte
		buf := make([]byte, size)
		for more := true; more; more = s.becomesReady(ready) {
			n, err := r.Read(buf)
			if err != nil {
				return err
			}
			out = append(out, buf[:n]...)
		}
		if s.Decode != nil {
			d := s.Decode(&feed{input: out, end: errFeed})
			defer d.Close()
			var err error
			if out, err = readAll(d, 512); err != errFeed {
				return fmt.Errorf("undoing the stage: %w", err)
			}
		}
		if err := differ(out, message); err != nil {
			return fmt.Errorf("out by %d: Ready was false with output pending: %w", size, err)
		}
	}
	return nil
}

// becomesReady asks a stage that may be late again, when it may not be any more.
func (s *subject) becomesReady(r transform.Readier) bool {
	if s.Late > 0 && !r.Ready() {
		<-time.After(s.Late)
	}
	return r.Ready()
}

// goroutines counts them. It cannot tell whose they are, so TestStage must not
// run next to tests that start some.
func (s *subject) goroutines() error {
	before := runtime.NumGoroutine()
	for reads := range 10 {
		f := &feed{input: s.Input, size: func() int { return 100 }}
		if err := closes(s.open(f), f, reads, 16); err != nil {
			return err
		}
	}
	for end := time.Now().Add(s.patience); runtime.NumGoroutine() > before; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d goroutines are left after Close", runtime.NumGoroutine()-before)
		}
	}
	return nil
}
