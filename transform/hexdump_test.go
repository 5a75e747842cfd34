package transform_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestHexdumpToLog(t *testing.T) {
	at, log := site()
	src := io.MultiReader(strings.NewReader("hello, world\r\n\x1b[31mred"), strings.NewReader("ü"))
	if _, err := pull(t, "hexdump", at, src); err != nil {
		t.Error(err)
	}
	log.want(t,
		"INFO 00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a 1b 5b  |hello, world...[| id=c1 direction=up",
		"INFO 00000010  33 31 6d 72 65 64                                 |31mred| id=c1 direction=up",
		"INFO 00000016  c3 bc                                             |..| id=c1 direction=up")
}

var dumped = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (\S+) (up|down) ([0-9a-f]{8})  ((?:[0-9a-f]{2}|  )(?: {1,2}(?:[0-9a-f]{2}|  )){15})  \|([ -~]{1,16})\|$`)

// Several conns share a file; their lines stay whole.
func TestHexdumpToFile(t *testing.T) {
	const conns = 4
	file := filepath.Join(t.TempDir(), "a.hex")
	want := make(map[string]string)
	var wg sync.WaitGroup
	for i := range conns {
		at, _ := site()
		at.Conn = fmt.Sprint("c", i)
		in := sample(10_000 + i)
		for _, b := range in {
			want[at.Conn] += fmt.Sprintf("%02x", b)
		}
		wg.Go(func() { passes(t, "hexdump:"+file, at, in) })
	}
	wg.Wait()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		m := dumped.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("a line is %q", line)
		}
		if at := fmt.Sprintf("%08x", len(got[m[1]])/2); m[3] != at {
			t.Fatalf("the offset is %s, want %s", m[3], at)
		}
		got[m[1]] += strings.ReplaceAll(m[4], " ", "")
	}
	if len(got) != conns {
		t.Errorf("%d conns", len(got))
	}
	for conn, text := range want {
		if got[conn] != text {
			t.Errorf("%s was dumped wrong", conn)
		}
	}
}

// A full disk ends the dump, which is said once, and not the stream.
func TestHexdumpToFullDisk(t *testing.T) {
	at, log := site()
	got, err := pull(t, "hexdump:/dev/full", at, iotest.OneByteReader(strings.NewReader("hello")))
	if string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	log.want(t, "WARN hexdump has stopped id=c1 direction=up offset=1 err=write /dev/full: no space left on device")
}

// Whatever passes, the log gets printable ASCII.
func FuzzHexdump(f *testing.F) {
	f.Add([]byte("hello\x1b]0;title\x07"))
	f.Add([]byte("\x9b31m\xff\x7f|"))
	f.Fuzz(func(t *testing.T, in []byte) {
		at, log := site()
		passes(t, "hexdump", at, in)
		lines := log.text()
		if strings.IndexFunc(lines, func(r rune) bool { return (r < ' ' || r > '~') && r != '\n' }) >= 0 {
			t.Fatalf("%q", lines)
		}
		if n := strings.Count(lines, "INFO"); len(in) > 0 && n < (len(in)+15)/16 {
			t.Fatalf("%d lines for %d bytes", n, len(in))
		}
	})
}
