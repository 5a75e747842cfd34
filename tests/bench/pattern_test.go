package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// stream returns n bytes of a pattern from a position on.
func stream(t *testing.T, p pattern, pos int64, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.write(&b, pos, n); err != nil {
		t.Fatal(err)
	}
	if b.Len() != n {
		t.Fatalf("%d bytes were written, not %d", b.Len(), n)
	}
	return b.Bytes()
}

// Whatever is done to a stream is found, at its place, however it is cut.
func TestPattern(t *testing.T) {
	const n, start = 3*window + 17, 5
	p := newPattern(3)
	whole := stream(t, p, start, n)
	last := n - 1
	tests := []struct {
		name  string
		spoil func([]byte) []byte
		at    int64 // of the first wrong byte, -1 for none
		err   error // if there is no wrong byte
	}{
		{"nothing", func(b []byte) []byte { return b }, -1, nil},
		{"first byte flipped", func(b []byte) []byte { b[0] ^= 1; return b }, 0, nil},
		{"flipped at a window", func(b []byte) []byte { b[window] ^= 0x80; return b }, window, nil},
		{"flipped after a period", func(b []byte) []byte { b[period+1] ^= 2; return b }, period + 1, nil},
		{"last byte flipped", func(b []byte) []byte { b[last] ^= 1; return b }, int64(last), nil},
		{"byte lost", func(b []byte) []byte { return slices.Delete(b, 100, 101) }, 100, nil},
		{"byte twice", func(b []byte) []byte { return slices.Insert(b, 100, b[99]) }, 100, nil},
		{"page lost", func(b []byte) []byte { return slices.Delete(b, 4096, 8192) }, 4096, nil},
		{"64 KiB lost", func(b []byte) []byte { return slices.Delete(b, 0, 64<<10) }, 0, nil},
		{"window twice", func(b []byte) []byte { return slices.Insert(b, window, b[:window]...) }, window, nil},
		{"last byte lost", func(b []byte) []byte { return b[:last] }, -1, io.ErrUnexpectedEOF},
		{"all lost", func(b []byte) []byte { return nil }, -1, io.EOF},
		{"other direction", func(b []byte) []byte { return stream(t, newPattern(4), start, n) }, 0, nil},
		{"other connection", func(b []byte) []byte { return stream(t, p, start+1009, n) }, 0, nil},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":  func(r io.Reader) io.Reader { return r },
		"halves": iotest.HalfReader,
		"early":  iotest.DataErrReader,
	}
	for _, tt := range tests {
		for name, cut := range readers {
			spoilt := tt.spoil(slices.Clone(whole))
			err := p.read(cut(bytes.NewReader(spoilt)), make([]byte, window), start, n)
			if tt.at < 0 {
				if err != tt.err {
					t.Errorf("%s, %s: %v, want %v", tt.name, name, err, tt.err)
				}
				continue
			}
			// A wrong byte may be the right one by chance, some in a row hardly.
			var corrupt *corruptError
			if !errors.As(err, &corrupt) || corrupt.pos < start+tt.at || corrupt.pos > start+tt.at+4 {
				t.Errorf("%s, %s: %v, want that byte %d is wrong", tt.name, name, err, start+tt.at)
			}
		}
	}
}

// At no position a pattern looks like itself a bit later.
func TestPatternShifted(t *testing.T) {
	p := newPattern(5)
	for _, shift := range []int64{1, 2, 64, 1009, 1448, 4096, 16 << 10, 64 << 10, window, 256 << 10, 1 << 20} {
		if err := p.check(p.at(shift, 64), 0); err == nil {
			t.Errorf("%d bytes further it looks the same", shift)
		}
	}
}

func TestHeader(t *testing.T) {
	want := header{service: source, report: true, size: 1 << 20, offset: 1 << 40, duration: 3, patience: 1 << 50}
	b := want.append(nil)
	if len(b) != headerLen {
		t.Errorf("it has %d bytes, not %d", len(b), headerLen)
	}
	got, err := readHeader(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	b[0]++
	if _, err := readHeader(bytes.NewReader(b)); err == nil {
		t.Error("something else was taken for a header")
	}
}

func TestReport(t *testing.T) {
	good := report{count: 7}.append(nil)
	tests := []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"good", good, true},
		{"other count", report{count: 8}.append(nil), false},
		{"bad byte", report{bad: 1, count: 7}.append(nil), false},
		{"missing", nil, false},
		{"short", good[1:], false},
		{"more after it", append(slices.Clone(good), 0), false},
		{"something else", make([]byte, reportLen), false},
	}
	for _, tt := range tests {
		if err := readReport(bytes.NewReader(tt.b), 7); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := readReport(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(good))), 7); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("one that does not come: %v", err)
	}
}
