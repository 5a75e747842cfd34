package stagetest

// A feed is a source that follows a script, and notes what is done to it.

import (
	"errors"
	"io"
)

// errLate is for those who read on after the end, which a source need not
// repeat: whoever lost it has lost it.
var errLate = errors.New("stagetest: the source was read after its end")

type feed struct {
	input  []byte
	size   func() int // how much one Read returns; nil: as much as fits
	end    error      // after the input; nil: io.EOF
	joined bool       // end comes with the last bytes
	empty  bool       // every second Read returns nothing at all

	turn   bool
	ended  bool // end was returned
	late   int  // Reads after that
	closed bool // somebody closed it, who must not
}

func (f *feed) Read(p []byte) (int, error) {
	if f.turn = !f.turn; f.empty && f.turn {
		return 0, nil
	}
	if f.end == nil {
		f.end = io.EOF
	}
	if f.ended {
		f.late++
		return 0, errLate
	}
	if len(f.input) == 0 {
		f.ended = true
		return 0, f.end
	}
	n := len(p)
	if f.size != nil {
		n = min(n, f.size())
	}
	n = copy(p[:n], f.input)
	f.input = f.input[n:]
	if f.joined && len(f.input) == 0 {
		f.ended = true
		return n, f.end
	}
	return n, nil
}

func (f *feed) Close() error {
	f.closed = true
	return nil
}

// A readyFeed has all of its input at hand.
type readyFeed struct{ feed }

func (f *readyFeed) Ready() bool { return true }

// A visitor is a source whose bytes come one piece at a time. A Read that finds
// none would wait; here it goes on with the next piece, and counts that as a
// wait.
type visitor struct {
	pieces [][]byte
	hand   []byte // what is there now
	end    error  // after the last piece; nil: io.EOF
	waits  int
}

func (v *visitor) Read(p []byte) (int, error) {
	if len(v.hand) == 0 {
		v.waits++
		if len(v.pieces) == 0 {
			if v.end == nil {
				return 0, io.EOF
			}
			return 0, v.end
		}
		v.hand, v.pieces = v.pieces[0], v.pieces[1:]
	}
	n := copy(p, v.hand)
	v.hand = v.hand[n:]
	return n, nil
}

// A readyVisitor says whether there are bytes at hand.
type readyVisitor struct{ *visitor }

func (v readyVisitor) Ready() bool { return len(v.hand) > 0 }

// pieces cuts b into pieces of n bytes.
func pieces(b []byte, n int) [][]byte {
	var ps [][]byte
	for len(b) > 0 {
		k := min(n, len(b))
		ps = append(ps, b[:k:k])
		b = b[k:]
	}
	return ps
}
