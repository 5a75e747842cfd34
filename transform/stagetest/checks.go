package stagetest

// The checks of what comes out: bytes, ends and errors.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// errFeed is the error of a source. Stages must pass on the very value.
var errFeed = errors.New("stagetest: the source failed")

// maxNothing is how many Reads in a row may return neither bytes nor error.
const maxNothing = 100

// readAll reads to the end through a buffer of the given size. Its error is
// nil at io.EOF.
func readAll(r io.Reader, size int) ([]byte, error) {
	var out []byte
	buf := make([]byte, size)
	for nothing := 0; nothing < maxNothing; {
		n, err := r.Read(buf)
		if n < 0 || n > size {
			return out, fmt.Errorf("Read of %d bytes returned the count %d", size, n)
		}
		out = append(out, buf[:n]...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		nothing++
		if n > 0 {
			nothing = 0
		}
	}
	return out, errors.New("Read returned nothing and no error again and again")
}

// differ says where got is not want; it is nil if they are equal.
func differ(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("got %d bytes, want %d; they differ from byte %d", len(got), len(want), at)
}

func (s *subject) splits() error {
	random := rand.New(rand.NewPCG(3, 4))
	in := []struct {
		name   string
		size   func() int
		empty  bool
		joined bool
		n      int // how much of the input, in these steps
	}{
		{"whole", nil, false, false, len(s.Input)},
		{"whole with its end", nil, false, true, len(s.Input)},
		{"by the byte", func() int { return 1 }, false, false, 700},
		{"by the byte with its end", func() int { return 1 }, false, true, 700},
		{"by the byte and nothing", func() int { return 1 }, true, false, 700},
		{"by 1000", func() int { return 1000 }, false, true, len(s.Input)},
		{"at random", func() int { return 1 + random.IntN(5000) }, true, false, len(s.Input)},
	}
	for _, in := range in {
		for _, size := range []int{1, 500, 32 << 10, 200 << 10} {
			for _, ready := range []bool{false, true} {
				input, want := s.portion(in.n)
				f := &readyFeed{feed{input: input, size: in.size, empty: in.empty, joined: in.joined}}
				var src io.Reader = f
				if !ready {
					src = &f.feed
				}
				r := s.whole(src)
				got, err := readAll(r, size)
				if err == nil {
					err = differ(got, want)
				}
				if cerr := r.Close(); err == nil {
					err = cerr
				}
				if err != nil {
					return fmt.Errorf("in %s, out by %d, source is a Readier: %t: %w", in.name, size, ready, err)
				}
			}
		}
	}
	return nil
}

// interactive gives one byte at a time, and wants it back before the next is
// asked for.
func (s *subject) interactive() error {
	if s.Ahead {
		return s.interactiveAhead()
	}
	if s.decodes {
		return nil
	}
	input, _ := s.portion(300)
	for _, size := range []int{1, 512, 64 << 10} {
		for _, ready := range []bool{false, true} {
			v := &visitor{pieces: pieces(input, 1)}
			var src io.Reader = v
			if ready {
				src = readyVisitor{v}
			}
			if err := echoes(s.whole(src), v, input, size); err != nil {
				return fmt.Errorf("out by %d, source is a Readier: %t: %w", size, ready, err)
			}
		}
	}
	return nil
}

func echoes(r io.ReadCloser, v *visitor, input []byte, size int) error {
	defer r.Close()
	buf := make([]byte, size)
	for i, want := range input {
		n, err := r.Read(buf)
		if n == 0 && err == nil {
			return fmt.Errorf("byte %d: Read returned nothing and no error", i)
		}
		if err != nil {
			return fmt.Errorf("byte %d: %w", i, err)
		}
		if v.waits > i+1 {
			return fmt.Errorf("byte %d is held back: the source was asked for more", i)
		}
		if n != 1 || buf[0] != want {
			return fmt.Errorf("byte %d: got %q, want %q", i, buf[:n], want)
		}
	}
	return nil
}

func (s *subject) end() error {
	for _, size := range []int{1, 64 << 10} {
		f := &feed{input: s.Input}
		r := s.open(f)
		defer r.Close()
		if _, err := readAll(r, size); err != nil {
			return err
		}
		buf := make([]byte, size)
		for range 5 {
			if n, err := r.Read(buf); n != 0 || err != io.EOF {
				return fmt.Errorf("Read after the end: got %d, %v; want 0, EOF", n, err)
			}
		}
		if f.late > 0 {
			return errors.New("the source was read again after its end")
		}
	}
	return nil
}

// cuts are the places at which to cut off n bytes: all of them if they are few.
func cuts(n int) []int {
	var at []int
	for i := 0; i <= n; i += 1 + i/32 {
		at = append(at, i)
	}
	return append(at, n)
}

func (s *subject) failure() error {
	input, want := s.portion(2000)
	for _, cut := range cuts(len(input)) {
		for _, joined := range []bool{false, true} {
			f := &feed{input: input[:cut], end: errFeed, joined: joined}
			r := s.whole(f)
			defer r.Close()
			got, err := readAll(r, 512)
			if s.Stops > 0 && cut >= s.Stops {
				if err == nil {
					err = differ(got, want)
				}
				if err != nil {
					return fmt.Errorf("source failed after %d bytes, where the stream is at its end: %w", cut, err)
				}
				continue
			}
			if err != errFeed {
				return fmt.Errorf("source failed after %d bytes: got the error %v, want the source's own", cut, err)
			}
			if !s.decodes {
				err = differ(got, want[:cut])
			} else if !bytes.HasPrefix(want, got) {
				err = differ(got, want[:min(len(got), len(want))])
			} else {
				err = nil
			}
			if err != nil {
				return fmt.Errorf("source failed after %d bytes: %w", cut, err)
			}
			if n, err := r.Read(make([]byte, 512)); n != 0 || err != errFeed {
				return fmt.Errorf("Read after the error: got %d, %v; want the same error", n, err)
			}
		}
	}
	return nil
}

func (s *subject) truncation() error {
	if !s.Complete {
		return nil
	}
	for cut := range s.Input {
		for _, size := range []int{1, 64 << 10} {
			r := s.open(&feed{input: s.Input[:cut]})
			defer r.Close()
			got, err := readAll(r, size)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("stream cut off after %d of %d bytes: got the error %v, want one that is io.ErrUnexpectedEOF",
					cut, len(s.Input), err)
			}
			if !bytes.HasPrefix(s.Want, got) {
				return fmt.Errorf("stream cut off after %d bytes: what came out is no beginning of what was wanted", cut)
			}
		}
	}
	return nil
}
