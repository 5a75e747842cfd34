package pcapng

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limitVariable names the file that a child of this test fills to its limit.
const limitVariable = "RELAYD_TEST_FULL_FILE"

// A file that has no room for the whole of a block ends with the block before.
// The limit of a file's size, which belongs to the process, stands in for a full
// disk.
func TestFullFileStaysReadable(t *testing.T) {
	if name := os.Getenv(limitVariable); name != "" {
		fill(t, name)
		return
	}
	file := filepath.Join(t.TempDir(), "a.pcapng")
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullFileStaysReadable$")
	cmd.Env = append(os.Environ(), limitVariable+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := contents(t, file)
	if len(b) < 9000 || len(b) >= 10_000 {
		t.Errorf("the file has %d bytes", len(b))
	}
	got := string(read(t, b, 1)[0].Client.Bytes)
	if want := strings.Repeat(strings.Repeat("x", 700), len(got)/700); got != want || len(got) < 8000 {
		t.Errorf("%d bytes of the stream", len(got))
	}
}

// fill runs in the child.
func fill(t *testing.T, name string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 10_000, Max: 10_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	w, err := Append(openCapture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	c := w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
	for err == nil {
		err = c.Write(Up, noon, []byte(strings.Repeat("x", 700)))
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v", err)
	}
}
