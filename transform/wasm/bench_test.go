package wasm

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

func BenchmarkWasm(b *testing.B) {
	for _, text := range []string{"wasm:testdata/guest.wasm,args=copy", "wasm:testdata/upper.wasm", "wasm:testdata/upper.wasm,trusted=true"} {
		b.Run(text, func(b *testing.B) {
			b.SetBytes(1 << 20)
			var done atomic.Bool
			r := parse(b, text).Open(untilDone{&done})
			buf := make([]byte, 32<<10)
			for range b.N {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r, 1<<20), buf); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			done.Store(true)
			if err := r.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

func BenchmarkInstantiate(b *testing.B) {
	s := parse(b, "wasm:testdata/upper.wasm")
	for range b.N {
		r := s.Open(strings.NewReader("x"))
		if _, err := io.ReadAll(r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// untilDone is zeros that fail in the end.
type untilDone struct{ done *atomic.Bool }

func (u untilDone) Read(p []byte) (int, error) {
	if u.done.Load() {
		return 0, net.ErrClosed
	}
	return len(p), nil
}
