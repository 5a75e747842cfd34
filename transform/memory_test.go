package transform

// The documented bounds of memory, seen from the inside.

import (
	"bytes"
	"errors"
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

// A mixture compresses somewhat: half of it is noise.
type mixture struct{ noise }

func (m *mixture) Read(p []byte) (int, error) {
	n, err := m.noise.Read(p)
	for i := 0; i+80 <= n; i += 80 {
		copy(p[i:], "what comes again and again is short")
	}
	return n, err
}

func (n *noise) Ready() bool { return true }

// The output that waits for a slow reader is bounded, whatever the size of the
// Reads.
func TestPendingIsBounded(t *testing.T) {
	bounds := map[string]int{"s2": 100 << 10, "s2:level=2,block=4k": 40 << 10, "zstd:window=8M": maxPending}
	for level := 1; level <= 9; level++ {
		bounds[fmt.Sprintf("gzip:level=%d", level)] = 128 << 10
	}
	for _, level := range zstdLevels {
		bounds[fmt.Sprintf("zstd:level=%d", level)] = maxPending
		bounds[fmt.Sprintf("zstd:level=%d,window=1k", level)] = 36 << 10
	}
	for text, bound := range bounds {
		for _, size := range []int{1 << 10, 1 << 20} {
			z := work(t, text, &noise{rand.NewChaCha8([32]byte{}), 600 << 10}).(*packing)
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
			if most > bound {
				t.Errorf("%s, read by %d: %d bytes pending, the bound is %d", text, size, most, bound)
			}
			z.Close()
		}
	}
}

// Between messages a stream holds its codec, and no buffer.
func TestIdleStreamHoldsNoOutput(t *testing.T) {
	for _, text := range encoderTexts {
		wait := false
		z := work(t, text, &onePiece{piece: []byte("hello"), wait: &wait}).(*packing)
		buf := make([]byte, 4<<10)
		for range 3 {
			wait = false
			if _, err := z.Read(buf); err != nil {
				t.Fatal(err)
			}
			if z.Ready() || z.enc.out.buf != nil {
				t.Errorf("%s: all is read, and there is a buffer", text)
			}
			if s, ok := z.enc.packer.(*s2Packer); ok && s.buf != nil {
				t.Error("s2: all is read, and there is a block")
			}
		}
		z.Close()
	}
	for i, text := range decoderTexts {
		wait := false
		in := packed(t, encoderTexts[i], []byte("hello"))
		z := work(t, text, &onePiece{piece: in, wait: &wait}).(*unpacking)
		for _, size := range []int{1, 10, 200 << 10} {
			buf := make([]byte, size)
			wait = false
			for more := true; more; more = z.Ready() {
				if _, err := z.Read(buf); err != nil {
					break // of the piece that is no frame again
				}
			}
			if z.out.buf != nil {
				t.Errorf("%s: all is read, and there is a buffer", text)
			}
			if s, ok := z.un.(*s2Unpacker); ok && s.body != nil {
				t.Error("uns2: all is read, and there is a block")
			}
			if z.err != nil || z.un == nil {
				break
			}
		}
		z.Close()
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

// The Memory of each stage's Info is what its codec really takes, here after it
// has worked for a while, and while it waits for more.
func TestMemoryAsDocumented(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		text  string
		plain int    // how much goes in
		in    string // what has packed it before, if anything has
		bound uint64
	}{
		{"gzip:level=1", mib, "", 1450 << 10},
		{"gzip", mib, "", 1450 << 10},
		{"gzip:level=9", mib, "", 1450 << 10},
		{"zstd:level=1", mib, "", 7*mib/10 + 128<<10},
		{"zstd", mib, "", 18*mib/10 + 128<<10},
		{"zstd:level=6", mib, "", 47*mib/10 + 128<<10},
		{"zstd:level=10", mib, "", 347*mib/10 + 128<<10},
		{"zstd:window=32k", mib, "", 18*mib/10 + 32<<10},
		{"zstd:window=1M", 3 * mib, "", 28 * mib / 10},
		{"zstd:window=8M", 10 * mib, "", 98 * mib / 10},
		{"s2", mib, "", 1 << 10},
		{"s2:block=4M", 9 * mib, "", 1 << 10},
		{"gunzip", 60 << 10, "gzip", 60 << 10},
		{"unzstd", mib, "zstd:window=1k", 30<<10 + 11<<10/2},
		{"unzstd", mib, "zstd:window=32k", 30<<10 + 11<<15/2},
		{"unzstd", mib, "zstd", 30<<10 + 11<<17/2},
		{"unzstd", 3 * mib, "zstd:window=1M", mib + 6*mib/10},
		{"unzstd", 10 * mib, "zstd:window=8M", 86 * mib / 10},
		{"uns2", mib, "s2", 20 << 10},
		{"uns2:block=4M", 9 * mib, "s2:block=4M", 20 << 10},
	} {
		t.Run(test.text+" of "+test.in, func(t *testing.T) {
			var src io.Reader = &mixture{noise{rand.NewChaCha8([32]byte{}), test.plain}}
			if test.in != "" {
				all, err := io.ReadAll(work(t, test.in, src))
				if err != nil {
					t.Fatal(err)
				}
				src = bytes.NewReader(all[:len(all)-1])
			}
			if held := held(t, test.text, src); held > test.bound {
				t.Errorf("it holds %d KiB, the bound is %d KiB", held>>10, test.bound>>10)
			}
		})
	}
}

var errWait = errors.New("nothing more yet")

// A gauge is a source that calls full before it would wait for more than r has.
type gauge struct {
	r    io.Reader
	full func()
}

func (g *gauge) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if err == io.EOF {
		g.full()
		err = errWait
	}
	return n, err
}

// held returns how much memory a stage holds that has worked on all of src, and
// whose output is read, while it waits for more.
func held(t *testing.T, text string, src io.Reader) uint64 {
	t.Helper()
	var before, after uint64
	buf := make([]byte, 200<<10)
	z := work(t, text, &gauge{src, func() { after = live() }})
	defer z.Close()
	before = live()
	for {
		if _, err := z.Read(buf); err != nil && after > 0 {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if after < before {
		t.Fatal("the heap got smaller: something else was freed")
	}
	t.Logf("%d KiB", (after-before)>>10)
	return after - before
}

// live returns how many bytes of the heap are in use.
func live() uint64 {
	for range 2 { // the second one empties the pools' reserve
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
