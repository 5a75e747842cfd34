//go:build !race

package transform_test

import (
	"context"
	"io"
	"testing"

	"relayd/lifetime"
)

// endless gives messages, all of the same bytes.
type endless struct{ message []byte }

func (e *endless) Read(p []byte) (int, error) { return copy(p, e.message), nil }

// What passes through a stage that watches costs no allocation. A line of the
// log does, so hexdump without a file is not among them.
func TestWatchingAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{
		"count", "hash", "hexdump:" + dir + "/a.hex", "pcapng:" + dir + "/a.pcapng",
		"tee:" + dir + "/a.raw", "tee:" + dir + "/b.raw,lossy=true", "tee:tcp://h:1,lossy=true",
	} {
		for _, size := range []int{50, 32 << 10} {
			at, _ := site()
			stuck := newStuck()
			at.Dial = func(context.Context, *lifetime.Node, string) (io.WriteCloser, error) { return stuck, nil }
			r := mustParse(t, text).OpenAt(&endless{sample(size)}, at)
			buf := make([]byte, 32<<10)
			read := func() {
				if _, err := r.Read(buf); err != nil {
					t.Fatal(err)
				}
			}
			for range 100 {
				read()
			}
			if n := testing.AllocsPerRun(200, read); n >= 1 {
				t.Errorf("%s: %v allocations for a message of %d bytes", text, n, size)
			}
			r.Close()
			stuck.Close()
		}
	}
}
