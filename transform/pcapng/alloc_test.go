//go:build !race

package pcapng

import (
	"io"
	"testing"
)

// Once a conn has begun, its bytes cost no allocation.
func TestWriteAllocatesNothing(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"1.2.3.4:5", "[::1]:5"} {
		c := w.Conn(noon, "", addr, addr)
		p := make([]byte, 100_000)
		c.Write(Up, noon, p)
		if n := testing.AllocsPerRun(100, func() {
			c.Write(Up, noon, p)
			c.Write(Down, noon, p[:100])
		}); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}
