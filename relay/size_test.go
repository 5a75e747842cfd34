package relay

import (
	"testing"
	"unsafe"
)

// What an idle conn costs is mostly this struct, in the allocator's class of 768
// bytes, 8 of which are the allocator's: the next one is 896.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 760 {
		t.Errorf("a conn has %d bytes, want 760 at most", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
