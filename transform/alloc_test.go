//go:build !race

package transform_test

// Allocations are counted without the race detector only: under it, sync.Pool
// throws some of what it is given away, on purpose.

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

// A message through an open gzip, and back through an open gunzip, costs no
// allocation.
func TestSmallMessageAllocatesNothing(t *testing.T) {
	for _, size := range []int{50, 200, 4000} {
		e := newEcho(t, sample(size))
		defer e.close()
		for range 100 { // the codecs' tables grow at first
			e.roundTrip(t)
		}
		if n := testing.AllocsPerRun(1000, func() { e.roundTrip(t) }); n != 0 {
			t.Errorf("%v allocations for a message of %d bytes", n, size)
		}
	}
}

// Not even the rubbish that unpacking leaves behind grows with what is
// unpacked.
func TestGunzipBombAllocatesLittle(t *testing.T) {
	const unpacked = 64 << 20
	r := mustParse(t, "gunzip").Open(bomb(t))
	defer r.Close()
	buf := make([]byte, 64<<10)
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
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
		t.Errorf("%d MiB unpacked allocated %d KiB", unpacked>>20, got>>10)
	}
}

// However a stream of gzip ends, the next one has its encoder. So has a stream
// of gunzip, as long as nothing was wrong with it.
func TestCodecsAreHandedOn(t *testing.T) {
	plain := sample(1000)
	packed := run(t, "gzip", plain)
	failed := errors.New("failed")
	buf := make([]byte, 64<<10)
	for _, test := range []struct {
		name, text string
		in         []byte
		end        error
		reads      int
	}{
		{"gzip to the end", "gzip", plain, io.EOF, 10},
		{"gzip closed early", "gzip", plain, io.EOF, 1},
		{"gzip of a failed source", "gzip", plain, failed, 10},
		{"gunzip to the end", "gunzip", packed, io.EOF, 10},
		{"gunzip closed early", "gunzip", packed, io.EOF, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
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
			// The codecs take 50 KiB and 1 MiB; the collector may take one away.
			if got := (after.TotalAlloc - before.TotalAlloc) / streams; got > 20<<10 {
				t.Errorf("a stream allocates %d KiB", got>>10)
			}
		})
	}
}
