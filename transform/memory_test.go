package transform

// The documented bounds of memory, seen from the inside.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
)

// noise does not compress, so that as much comes out of an encoder as ever can.
type noise struct {
	random *rand.ChaCha8
	left   int
}

func (n *noise) Read(p []byte) (int, error) {
	p = p[:min(len(p), n.left)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	n.left -= len(p)
	return n.random.Read(p)
}

func (n *noise) Ready() bool { return true }

// The output that waits for a slow reader is bounded, whatever the size of the
// Reads.
func TestGzipPendingIsBounded(t *testing.T) {
	for level := 1; level <= 9; level++ {
		for _, size := range []int{1 << 10, 1 << 20} {
			z := &gzip{src: new(source), level: level}
			z.src.reset(&noise{rand.NewChaCha8([32]byte{}), 300 << 10}, nowhere)
			most := 0
			buf := make([]byte, size)
			for {
				n, err := z.Read(buf)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if z.enc != nil {
					most = max(most, n+z.enc.out.Len())
				}
			}
			if most > maxPending {
				t.Errorf("level %d, read by %d: %d bytes pending, the bound is %d", level, size, most, maxPending)
			}
			z.Close()
		}
	}
}

// Between messages a stream holds its codec, and no buffer.
func TestIdleStreamHoldsNoOutput(t *testing.T) {
	wait := false
	src := &onePiece{piece: []byte("hello"), wait: &wait}
	z := &gzip{src: new(source), level: 6}
	z.src.reset(src, nowhere)
	defer z.Close()
	buf := make([]byte, 4<<10)
	for range 3 {
		wait = false
		if _, err := z.Read(buf); err != nil {
			t.Fatal(err)
		}
		if z.Ready() || z.enc.out.buf != nil {
			t.Error("all is read, and there is a buffer")
		}
	}
}

// onePiece gives its piece once for each time that wait is reset.
type onePiece struct {
	piece []byte
	wait  *bool
}

func (o *onePiece) Read(p []byte) (int, error) {
	*o.wait = true
	return copy(p, o.piece), nil
}

func (o *onePiece) Ready() bool { return !*o.wait }

// The Memory of each stage's Info is what its codec really takes.
func TestMemoryAsDocumented(t *testing.T) {
	for level := 1; level <= 9; level++ {
		t.Run(fmt.Sprintf("gzip:level=%d", level), func(t *testing.T) {
			held := heap(t, func() any {
				e, err := newGzipEncoder(level)
				if err != nil {
					t.Fatal(err)
				}
				e.w.Write(make([]byte, 1000))
				e.w.Flush()
				return e
			})
			if held > 1500<<10 {
				t.Errorf("an encoder takes %d KiB", held>>10)
			}
		})
	}
	t.Run("gunzip", func(t *testing.T) {
		e, err := newGzipEncoder(6)
		if err != nil {
			t.Fatal(err)
		}
		e.w.Write([]byte("hello"))
		e.w.Flush()
		packed := make([]byte, e.out.Len())
		e.out.take(packed)
		held := heap(t, func() any {
			z := &gunzip{src: new(source)}
			z.src.reset(&onePiece{piece: packed, wait: new(bool)}, nowhere)
			if n, err := z.Read(make([]byte, gunzipWindow)); n == 0 || err != nil {
				t.Fatal(n, err)
			}
			return z
		})
		if held > 60<<10 {
			t.Errorf("a decoder takes %d KiB", held>>10)
		}
	})
}

// heap returns what is held by what make returns, which must not be a pooled
// one.
func heap(t *testing.T, make func() any) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	for range 2 { // the second one empties the pools' reserve
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	v := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	if after.HeapAlloc < before.HeapAlloc {
		t.Fatal("the heap got smaller: something else was freed")
	}
	held := after.HeapAlloc - before.HeapAlloc
	t.Logf("%d KiB", held>>10)
	return held
}
