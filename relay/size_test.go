package relay

import (
	"testing"
	"unsafe"
)

// What an idle conn costs is mostly this struct, in the allocator's class of 768
// bytes: the next one is 896.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 768 {
		t.Errorf("a conn has %d bytes, want 768 at most", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
