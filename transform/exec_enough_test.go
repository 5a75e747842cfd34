package transform_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// A program that reads no more has ended the stream, also if its source is made to
// end, for another chain to go on, before its output has: what it has not taken is
// lost, and what comes then must not follow on what it has given.
func TestExecHasHadEnough(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	x := script(t, `exec <&-; echo ready; read x <'`+fifo+`'; echo over`, "")
	x.says(t, "ready")
	for range 3 { // the second one is read when the first is thrown away
		x.src.give("lost")
	}
	for len(x.src.pieces) > 0 {
		runtime.Gosched()
	}
	x.src.end(io.EOF)
	go func() {
		if f, err := os.OpenFile(fifo, os.O_WRONLY, 0); err == nil {
			f.Close()
		}
	}()
	if err := x.ends(t, "over\n"); err != nil {
		t.Error(err)
	}
	if x.site.Ended() {
		t.Error("the stream is said to go on, without what the program has not read")
	}
}
