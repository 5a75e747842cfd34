package transform

import (
	"errors"
	"io"
	"testing"
)

// once returns its bytes and its error together, and then something else.
type once struct {
	data  string
	err   error
	ready bool
}

func (o *once) Read(p []byte) (int, error) {
	n, err := copy(p, o.data), o.err
	o.data, o.err = "", errors.New("read once too often")
	return n, err
}

func (o *once) Ready() bool { return o.ready }

func TestSource(t *testing.T) {
	broken := errors.New("broken")
	for _, end := range []error{io.EOF, broken} {
		var s source
		s.reset(&once{data: "abc", err: end}, nowhere)
		if s.Ready() {
			t.Error("Ready before the first Read, and the reader is not")
		}
		buf := make([]byte, 10)
		if n, err := s.Read(buf); n != 3 || err != nil {
			t.Errorf("got %d, %v; want the bytes alone", n, err)
		}
		if s.n.Load() != 3 || s.failed() || !s.Ready() {
			t.Errorf("after the bytes: n %d, failed %t, ready %t; want 3, false, true", s.n.Load(), s.failed(), s.Ready())
		}
		for range 2 {
			if n, err := s.Read(buf); n != 0 || err != end {
				t.Errorf("got %d, %v; want the error, for good", n, err)
			}
			if s.failed() != (end == broken) || !s.Ready() {
				t.Errorf("after %v: failed %t, ready %t", end, s.failed(), s.Ready())
			}
		}
	}
}

func TestSourceReady(t *testing.T) {
	var s source
	s.reset(&once{ready: true}, nowhere)
	if !s.Ready() {
		t.Error("the reader is ready, and its source is not")
	}
	s.reset(struct{ io.Reader }{&once{ready: true}}, nowhere)
	if s.Ready() {
		t.Error("ready, though the reader cannot tell")
	}
}
