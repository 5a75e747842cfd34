package stagetest

// The checks of stages that read their source on a goroutine of their own,
// ahead of what they are asked for. What such a stage has read says nothing;
// here the source has no more to give, and waits.

import (
	"errors"
	"fmt"
	"io"
	"time"

	"relayd/transform"
)

// A tap is a source that gives what is put in, and else waits.
type tap struct {
	pieces chan []byte // closed: the end
	shut   chan struct{}
	hand   []byte
}

func newTap() *tap { return &tap{pieces: make(chan []byte, 1), shut: make(chan struct{})} }

var errShut = errors.New("stagetest: the tap was shut")

func (t *tap) Read(p []byte) (int, error) {
	if len(t.hand) == 0 {
		var open bool
		select {
		case t.hand, open = <-t.pieces:
			if !open {
				return 0, io.EOF
			}
		case <-t.shut:
			return 0, errShut
		}
	}
	n := copy(p, t.hand)
	t.hand = t.hand[n:]
	return n, nil
}

// echoesAhead puts pieces in one at a time, and wants each back before the
// next.
func (s *subject) echoesAhead(size, piece, n int) error {
	input, _ := s.portion(n * piece)
	t := newTap()
	late := time.AfterFunc(s.patience, func() { close(t.shut) })
	r := s.whole(t)
	defer r.Close()
	defer func() {
		if late.Stop() {
			close(t.shut)
		}
	}()
	ready, _ := r.(transform.Readier)
	buf := make([]byte, size)
	for i, want := range pieces(input, piece) {
		t.pieces <- want
		for len(want) > 0 {
			n, err := r.Read(buf)
			if errors.Is(err, errShut) {
				return fmt.Errorf("piece %d is held back: %d bytes of it did not come within %v", i, len(want), s.patience)
			}
			if err != nil {
				return fmt.Errorf("piece %d: %w", i, err)
			}
			if n > len(want) || string(buf[:n]) != string(want[:n]) {
				return fmt.Errorf("piece %d: got %q, want a beginning of %q", i, buf[:n], want)
			}
			want = want[n:]
		}
		if ready != nil && ready.Ready() {
			return fmt.Errorf("after piece %d: Ready is true, and there is nothing to read", i)
		}
	}
	return s.endsAhead(t, r, ready)
}

// endsAhead wants the end, and Ready to say so.
func (s *subject) endsAhead(t *tap, r io.Reader, ready transform.Readier) error {
	close(t.pieces)
	if n, err := r.Read(make([]byte, 100)); n != 0 || err != io.EOF {
		return fmt.Errorf("at the end: got %d, %v; want 0, EOF", n, err)
	}
	if ready != nil && !ready.Ready() {
		return errors.New("Ready is false after the end, where Read does not wait")
	}
	return nil
}

func (s *subject) interactiveAhead() error {
	for _, size := range []int{1, 512, 64 << 10} {
		if err := s.echoesAhead(size, 1, 300); err != nil {
			return fmt.Errorf("out by %d: %w", size, err)
		}
	}
	return nil
}

func (s *subject) readyAhead() error {
	r := s.open(&feed{})
	defer r.Close()
	if _, ok := r.(transform.Readier); !ok {
		return errors.New("the stage is no transform.Readier")
	}
	for _, size := range []int{1, 100, 64 << 10} {
		for _, piece := range []int{50, 3000} {
			if err := s.echoesAhead(size, piece, 20); err != nil {
				return fmt.Errorf("in by %d, out by %d: %w", piece, size, err)
			}
		}
	}
	return nil
}
