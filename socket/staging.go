package socket

import (
	"errors"
	"os"
)

// A Staging reads a half for a chain. It is to a chain what [Copy] is to plain
// bytes: it begins with what an earlier copy has read and not written, and it
// lets go when it is asked to.
type Staging struct {
	*ReadHalf
}

// Stage begins to read r for a chain. One copy or staging of a half runs at a
// time.
func (r *ReadHalf) Stage() Staging {
	r.socket().unusual().yielding.begin(r, nil)
	return Staging{r}
}

// End ends it. The half can be staged or copied from again.
func (s Staging) End() { s.socket().unusual().yielding.end(s.ReadHalf) }

// ReadOn is Read that [ReadHalf.Yield] ends with [ErrYielded]. carried reports
// that the bytes are not new: an earlier copy has read and counted them.
func (s Staging) ReadOn(p []byte) (n int, carried bool, err error) {
	if n := s.take(p); n > 0 {
		return n, true, nil
	}
	if s.yields() {
		return 0, false, s.letGo()
	}
	n, err = s.ReadHalf.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && s.yields() {
		err = s.letGo()
	}
	return n, false, err
}

// Ready reports whether a ReadOn would not wait.
func (s Staging) Ready() bool {
	return s.carries() || s.ReadHalf.Ready()
}

// take moves what an earlier copy has left to p.
func (s Staging) take(p []byte) int {
	y := &s.socket().unusual().yielding
	if len(y.carry) == 0 {
		return 0
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	n := copy(p, y.carry)
	if y.carry = y.carry[n:]; len(y.carry) == 0 {
		y.carry = nil
	}
	return n
}

// letGo answers a Yield. What a chain still holds is for it to write.
func (s Staging) letGo() error {
	s.socket().marks.clear(yieldAsked)
	return ErrYielded
}
