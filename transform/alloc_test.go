//go:build !race

package transform_test

// Allocations are counted without the race detector only: under it, sync.Pool
// throws some of what it is given away, on purpose.

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// A message through an open encoder, and back through an open decoder, costs no
// allocation.
func TestSmallMessageAllocatesNothing(t *testing.T) {
	for _, text := range tunnels {
		for _, size := range []int{50, 200, 4000} {
			e := newEcho(t, text, sample(size))
			for range 100 { // the codecs' tables grow at first
				e.roundTrip(t)
			}
			if n := testing.AllocsPerRun(1000, func() { e.roundTrip(t) }); n != 0 {
				t.Errorf("%s: %v allocations for a message of %d bytes", text, n, size)
			}
			e.close()
		}
	}
}

// Not even the rubbish that unpacking leaves behind grows with what is
// unpacked.
func TestBombsAllocateLittle(t *testing.T) {
	const unpacked = 64 << 20
	for _, b := range bombs(t) {
		r := mustParse(t, b.decoder).Open(b.start())
		buf := make([]byte, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for total := 0; total < unpacked; {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		runtime.ReadMemStats(&after)
		if got := int64(after.TotalAlloc - before.TotalAlloc); got > b.bound+256<<10 {
			t.Errorf("%s: %d MiB unpacked allocated %d KiB", b.decoder, unpacked>>20, got>>10)
		}
		r.Close()
	}
}

// However a stream of an encoder ends, the next one has its codec. So has a
// stream of a decoder, as long as nothing was wrong with it.
func TestCodecsAreHandedOn(t *testing.T) {
	plain := sample(1000)
	failed := errors.New("failed")
	buf := make([]byte, 256<<10)
	for _, c := range codecs {
		packed := run(t, c.encoder, plain)
		for _, test := range []struct {
			name, text string
			in         []byte
			end        error
			reads      int
		}{
			{"to the end", c.encoder, plain, io.EOF, 10},
			{"closed early", c.encoder, plain, io.EOF, 1},
			{"of a failed source", c.encoder, plain, failed, 10},
			{"to the end", c.decoder, packed, io.EOF, 10},
			{"closed early", c.decoder, packed, io.EOF, 1},
		} {
			stage := mustParse(t, test.text)
			stream := func() {
				r := stage.Open(io.MultiReader(bytes.NewReader(test.in), iotest.ErrReader(test.end)))
				for range test.reads {
					r.Read(buf)
				}
				r.Close()
			}
			stream()
			const streams = 100
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range streams {
				stream()
			}
			runtime.ReadMemStats(&after)
			// The codecs take 50 KiB and more; the collector may take one away.
			if got := (after.TotalAlloc - before.TotalAlloc) / streams; got > 20<<10 {
				t.Errorf("a stream of %s %s allocates %d KiB", test.text, test.name, got>>10)
			}
		}
	}
}

// A little input that makes much output makes it as it is read.
func TestReplaceGrowsNoMemory(t *testing.T) {
	const times, length = 30_000, 60_000
	s := replacer(t, "a", strings.Repeat("b", length))
	r := s.Open(strings.NewReader(strings.Repeat("a", times)))
	defer r.Close()
	before := allocated()
	n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
	if n != times*length || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if grown := allocated() - before; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// allocated returns how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
