package transform_test

// Streams that unpack to far more than they are: they cost time to who reads
// them, and no memory.

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	ks2 "github.com/klauspost/compress/s2"
)

// A bomb is the beginning of a stream, and what it goes on with for ever.
type bomb struct {
	decoder     string
	head, again []byte
	bound       int64 // of what the decoder holds, as its Memory has it
}

func bombs(t *testing.T) []bomb {
	zeros := make([]byte, 1<<20)

	var packed bytes.Buffer
	z := stdgzip.NewWriter(&packed)
	z.Write(zeros)
	z.Flush()
	gzip := bytes.Clone(packed.Bytes())
	packed.Reset()
	z.Write(zeros)
	z.Flush() // from here on each megabyte is packed like the one before

	// One byte, 128 Ki times: not the last block, of type 1.
	block := []byte{1 << 1, 0, 1 << 20 >> 16, 'x'}

	const masked = 0xa282ead8
	chunk := ks2.Encode(nil, zeros)
	sum := crc32.Checksum(zeros, crc32.MakeTable(crc32.Castagnoli))
	chunk = append(binary.LittleEndian.AppendUint32(nil, (sum>>15|sum<<17)+masked), chunk...)
	chunk = append([]byte{0, byte(len(chunk)), byte(len(chunk) >> 8), byte(len(chunk) >> 16)}, chunk...)

	return []bomb{
		{"gunzip", gzip, packed.Bytes(), (60 + 32 + 4) << 10},
		{"unzstd:window=128k", []byte("\x28\xb5\x2f\xfd\x00\x38"), block, (735 + 128 + 4) << 10},
		{"unzstd", []byte("\x28\xb5\x2f\xfd\x00\x68"), block, (86*1024/10 + 128 + 4) << 10},
		{"uns2", []byte("\xff\x06\x00\x00S2sTwO"), chunk, (20 + 1024 + 64) << 10},
	}
}

// start makes a stream of the bomb, of a gigabyte and more.
func (b *bomb) start() io.Reader { return &repeated{b.head, b.again} }

type repeated struct{ left, again []byte }

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.left) == 0 {
			r.left = r.again
		}
		k := copy(p[n:], r.left)
		n, r.left = n+k, r.left[k:]
	}
	return n, nil
}

func (r *repeated) Ready() bool { return true }

func TestBombs(t *testing.T) {
	const unpacked = 32 << 20
	for _, b := range bombs(t) {
		for _, size := range []int{100, 64 << 10, 2 << 20} {
			buf := make([]byte, size)
			before := live()
			r := mustParse(t, b.decoder).Open(b.start())
			for total := 0; total < unpacked*min(size, 64<<10)/(64<<10); {
				n, err := r.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				total += n
			}
			if got := live() - before; got > b.bound {
				t.Errorf("%s by %d: it holds %d KiB, the bound is %d KiB", b.decoder, size, got>>10, b.bound>>10)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// live returns how many bytes of the heap are in use.
func live() int64 {
	for range 2 { // the second one empties the pools' reserve
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A stream that goes on unpacking for ever must stop when its source fails.
func TestBombsAreInterrupted(t *testing.T) {
	for _, b := range bombs(t) {
		stop := errors.New("stop")
		more := b.start()
		src := &stub{read: func(p []byte) (int, error) { return more.Read(p[:min(len(p), 500)]) }}
		r := mustParse(t, b.decoder).Open(src)
		buf := make([]byte, 64<<10)
		if _, err := r.Read(buf); err != nil {
			t.Fatal(err)
		}
		src.read = func([]byte) (int, error) { return 0, stop }
		for total := 0; ; {
			n, err := r.Read(buf)
			if err == stop {
				break
			}
			if total += n; err != nil || total > 100<<20 { // of what is at hand
				t.Fatalf("%s: got %v after %d MiB", b.decoder, err, total>>20)
			}
		}
		r.Close()
	}
}

// What a peer announces and does not send costs little: of zstd a block, and
// room for what comes out of it.
func TestAnnouncementsAreNotBelieved(t *testing.T) {
	for _, test := range []struct {
		decoder, in string
		bound       int64
	}{
		{"unzstd", "\x28\xb5\x2f\xfd\x00\x68", 160 << 10},                // a window of 8 MiB, and no block
		{"unzstd", "\x28\xb5\x2f\xfd\x00\x68\x04\x00\x10abc", 300 << 10}, // nor a whole one
		{"uns2:block=4M", "\xff\x06\x00\x00S2sTwO\x00\x00\x00\x40abc", 30 << 10},
		{"uns2:block=4M", "\xff\x06\x00\x00S2sTwO\x01\x00\x00\x40abc", 30 << 10},
	} {
		var held int64
		waits := errors.New("waits")
		src := &stub{}
		r := mustParse(t, test.decoder).Open(src)
		before := live()
		src.read = func(p []byte) (int, error) {
			src.read = func([]byte) (int, error) {
				held = live() - before
				return 0, waits
			}
			return copy(p, test.in), nil
		}
		if _, err := r.Read(make([]byte, 100)); err != waits {
			t.Fatalf("%s: got %v", test.decoder, err)
		}
		if held > test.bound {
			t.Errorf("%s holds %d KiB after %q", test.decoder, held>>10, test.in)
		}
		r.Close()
	}
}
