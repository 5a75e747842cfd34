package transform_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// tunnels are chains that give back what they are given.
var tunnels = []string{"gzip,gunzip", "zstd,unzstd", "s2,uns2"}

// An echo is an open tunnel whose source is given messages one by one.
type echo struct {
	message []byte
	hand    []byte // what the source has
	r       io.Reader
	close   func() error
	buf     []byte
}

func newEcho(t testing.TB, text string, message []byte) *echo {
	e := &echo{message: message, buf: make([]byte, 64<<10)}
	o := chain(t, text)(&stub{
		ready: func() bool { return len(e.hand) > 0 },
		read: func(p []byte) (int, error) {
			n := copy(p, e.hand)
			e.hand = e.hand[n:]
			return n, nil
		},
	})
	e.r, e.close = o, o.Close
	return e
}

// roundTrip sends the message, and reads until it is back.
func (e *echo) roundTrip(t testing.TB) {
	e.hand = e.message
	for got := 0; got < len(e.message); {
		n, err := e.r.Read(e.buf)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.buf[:n], e.message[got:got+n]) {
			t.Fatal("the message came back as another")
		}
		got += n
	}
}

// Request and response through a tunnel: each message is flushed.
func BenchmarkSmallMessage(b *testing.B) {
	for _, text := range tunnels {
		for _, size := range []int{20, 200, 2000} {
			b.Run(fmt.Sprintf("%s/%dB", text, size), func(b *testing.B) {
				e := newEcho(b, text, sample(size))
				defer e.close()
				e.roundTrip(b)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					e.roundTrip(b)
				}
			})
		}
	}
}

// Bulk, as a pump reads it.
func BenchmarkBulk(b *testing.B) {
	plain := sample(4 << 20)
	for _, bench := range []struct {
		text string
		in   []byte
	}{
		{"gzip:level=1", plain},
		{"gzip", plain},
		{"gzip:level=9", plain},
		{"gunzip", run(b, "gzip", plain)},
		{"zstd:level=1", plain},
		{"zstd", plain},
		{"zstd:window=1M", plain},
		{"zstd:level=6", plain},
		{"unzstd", run(b, "zstd", plain)},
		{"s2", plain},
		{"s2:level=2", plain},
		{"uns2", run(b, "s2", plain)},
	} {
		b.Run(bench.text, func(b *testing.B) {
			open := chain(b, bench.text)
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				r := open(readyReader{bytes.NewReader(bench.in)})
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

// A connection's life, less its bytes: what opening and closing costs.
func BenchmarkOpen(b *testing.B) {
	buf := make([]byte, 64<<10)
	for _, text := range tunnels {
		b.Run(text, func(b *testing.B) {
			open := chain(b, text)
			b.ReportAllocs()
			for b.Loop() {
				r := open(bytes.NewReader(nil))
				if _, err := r.Read(buf); err != io.EOF {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

// readyReader is a source that has everything at hand.
type readyReader struct{ *bytes.Reader }

func (readyReader) Ready() bool { return true }
