package stagetest

// The check of what a stage holds.

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// errEnough ends a stream that was measured.
var errEnough = errors.New("stagetest: measured")

// flow is how much of its input a stage that can be given more is given.
const flow = 1 << 20

// A meter is a source of a long input, which has all of it at hand, and which
// measures when that has come to its end: a stage would have to wait there.
type meter struct {
	input []byte
	left  int // how much there is still to come
	at    int
	live  int64 // at the end
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left == 0 {
		if m.live == 0 {
			m.live = live()
		}
		return 0, errEnough
	}
	n := copy(p[:min(len(p), m.left)], m.input[m.at:])
	m.left -= n
	m.at = (m.at + n) % len(m.input)
	return n, nil
}

func (m *meter) Ready() bool { return m.left > 0 }

// live returns how many bytes of the heap are in use.
func live() int64 {
	for range 2 { // the second one empties the reserves of pools
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// memory measures a stage that has worked and waits, and one that has worked
// and is read slowly.
func (s *subject) memory() error {
	if s.Memory == 0 || len(s.Input) == 0 {
		return nil
	}
	n := len(s.Input)
	if !s.decodes {
		n = flow
	}
	buf := make([]byte, 32<<10)
	for _, size := range []int{len(buf), 512} {
		m := &meter{input: s.Input, left: n}
		before := live()
		r := s.open(m)
		defer r.Close()
		if err := skim(r, buf[:size]); err != nil {
			return err
		}
		if held := m.live - before; held > s.Memory {
			return fmt.Errorf("out by %d: it holds %d bytes while it waits, the bound is %d", size, held, s.Memory)
		}
	}
	m := &meter{input: s.Input, left: n}
	before := live()
	r := s.open(m)
	defer r.Close()
	for i := range 64 {
		if k, err := r.Read(buf[:1]); err == io.EOF || err == errEnough {
			break
		} else if err != nil {
			return err
		} else if k == 0 {
			continue
		}
		if i%16 > 0 {
			continue
		}
		if held := live() - before; held > s.Memory {
			return fmt.Errorf("it holds %d bytes while its output is read slowly, the bound is %d", held, s.Memory)
		}
	}
	runtime.KeepAlive(r)
	return nil
}

// skim reads to the end of a measured stream.
func skim(r io.Reader, buf []byte) error {
	for nothing := 0; nothing < maxNothing; nothing++ {
		n, err := r.Read(buf)
		if err == errEnough || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 {
			nothing = 0
		}
	}
	return errors.New("Read returned nothing and no error again and again")
}
