package transform_test

// What watching stages have in common, and those that log a line at the end.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"relayd/transform"
)

// A logged is a log, and may be read while it is written.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { panic("attributes are at the line") }
func (l *logged) WithGroup(string) slog.Handler            { panic("there are no groups") }

// Handle keeps a line: level, message and attributes.
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, b.String())
	return nil
}

// text returns the lines so far.
func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// want wants just these lines.
func (l *logged) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := l.text(); got != strings.Join(lines, "\n") {
		t.Errorf("logged\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
}

// site returns a site of conn c1, up, and its log.
func site() (*transform.Site, *logged) {
	l := new(logged)
	return &transform.Site{
		Conn: "c1", Direction: "up", Log: slog.New(l),
		Client: "192.168.0.5:40000", Upstream: "10.0.0.1:5432",
	}, l
}

// pull reads a stage to its end at a site, and closes it.
func pull(t *testing.T, text string, at *transform.Site, src io.Reader) ([]byte, error) {
	t.Helper()
	r := mustParse(t, text).OpenAt(src, at)
	got, err := io.ReadAll(r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return got, err
}

// passes wants a stage to pass everything on, to a clean end.
func passes(t *testing.T, text string, at *transform.Site, in []byte) {
	t.Helper()
	got, err := pull(t, text, at, bytes.NewReader(in))
	if err != nil || !bytes.Equal(got, in) {
		t.Errorf("%s: %d bytes became %d, %v", text, len(in), len(got), err)
	}
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		text string
		src  io.Reader
		want string
	}{
		{"count", strings.NewReader("hello"), "bytes=5 chunks=1 end=eof"},
		{"count:label=in", iotest.OneByteReader(strings.NewReader("hello")), "bytes=5 chunks=5 end=eof label=in"},
		{"count", strings.NewReader(""), "bytes=0 chunks=0 end=eof"},
		{"count", io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(errors.New("reset"))), "bytes=3 chunks=1 end=failed"},
	} {
		at, log := site()
		pull(t, test.text, at, test.src)
		log.want(t, "INFO counted id=c1 direction=up "+test.want)
	}
}

func TestHash(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"hash", "algorithm=sha256 sum=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 bytes=5 end=eof"},
		{"hash:algorithm=SHA1,label=x", "algorithm=sha1 sum=aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d bytes=5 end=eof label=x"},
		{"hash:md5", "algorithm=md5 sum=5d41402abc4b2a76b9719d911017c592 bytes=5 end=eof"},
		{"hash:sha512", "algorithm=sha512 sum=9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7" +
			"2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043 bytes=5 end=eof"},
	} {
		at, log := site()
		passes(t, test.text, at, []byte("hello"))
		log.want(t, "INFO hashed id=c1 direction=up "+test.want)
	}
}

// A stream that was cut is no whole, and says so, once.
func TestCutIsSaid(t *testing.T) {
	at, log := site()
	r, closeChain := mustChain(t, "count,hash").OpenAt(iotest.OneByteReader(strings.NewReader("hello")), at)
	for range 2 {
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	closeChain()
	closeChain()
	sum := sha256.Sum256([]byte("he"))
	if got := log.text(); strings.Count(got, "\n") != 1 ||
		!strings.Contains(got, "counted id=c1 direction=up bytes=2 chunks=2 end=cut") ||
		!strings.Contains(got, fmt.Sprintf("sum=%x bytes=2 end=cut", sum)) {
		t.Errorf("logged\n%s", got)
	}
}

func mustChain(t *testing.T, text string) transform.Chain {
	t.Helper()
	c, err := transform.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWatchingOptions(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"hash:SHA256", "hash"},
		{"hash:sha512,label=a b", "hash:sha512,label=a b"},
		{"tee:to=/x,lossy=false,timeout=60s", "tee:/x"},
		{"tee:tcp://h:1,timeout=90s,lossy=true", "tee:tcp://h:1,lossy=true,timeout=1m30s"},
		{"tee:unix:///run/a%20b", "tee:unix:///run/a%20b"},
		{"pcapng:/x-%c-%d-%%", "pcapng:/x-%c-%d-%%"},
		{"tee:./h:1", "tee:./h:1"},
		{"tee:/run/h:1", "tee:/run/h:1"},
		{"hexdump", "hexdump"},
	} {
		if got := mustParse(t, test.in).String(); got != test.want {
			t.Errorf("%s is written %s, want %s", test.in, got, test.want)
		}
	}
	for _, test := range []struct{ in, want string }{
		{"hash:crc32", `want one of sha256, sha512, sha1, md5`},
		{"tee", `stage tee needs its option "to": write tee:TO`},
		{"tee:/x,lossy=yes", `want true or false`},
		{"tee:/x,timeout=0s", `want a duration such as 10s or 5m`},
		{"tee:127.0.0.1:9000", `write tcp://127.0.0.1:9000 if it is an address, ./127.0.0.1:9000 if it is a file`},
		{"tee:tcp:h:1", `write tcp://h:1 if it is an address, ./tcp:h:1 if it is a file`},
		{"tee:unix:/x", `write unix:///x if it is an address, ./unix:/x if it is a file`},
		{"tee:TCP://h:1", `write tcp://h:1 if it is an address, ./TCP://h:1 if it is a file`},
		{"tee:/x%n", `want the name of a file: in it %c stands for the conn's id`},
		{"pcapng", `stage pcapng needs its option "file": write pcapng:FILE`},
		{"pcapng:/x%", `want the name of a file: in it %c stands for`},
		{`hexdump:"\x00"`, `it has a zero byte`},
	} {
		if s, err := transform.ParseStage(test.in); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want %s", test.in, s, err, test.want)
		}
	}
	for _, name := range []string{"count", "hash", "hexdump", "tee:/x", "pcapng:/x"} {
		if s, err := mustParse(t, name).Inverse(); err == nil {
			t.Errorf("the inverse of %s is %s", name, s)
		}
	}
}

// A file that cannot be opened is the stage's failure, before anything has
// passed, and says which file it is.
func TestUnwritableFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("somebody's letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, want string }{
		{dir + "/no/file", "no such file or directory"},
		{dir, "is a directory"},
		{fifo, ""},
		{text, "it is no pcapng file: move it away"},
	} {
		for _, stage := range []string{"hexdump:", "pcapng:", "tee:"} {
			if test.file == text && stage != "pcapng:" {
				continue
			}
			at, log := site()
			got, err := pull(t, stage+test.file, at, strings.NewReader("hello"))
			var e *transform.Error
			if len(got) > 0 || !errors.As(err, &e) || !strings.Contains(err.Error(), test.file) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s%s: %q passed, with %v", stage, test.file, got, err)
			}
			log.want(t)
		}
	}
	if got, err := os.ReadFile(text); string(got) != "somebody's letter" {
		t.Errorf("the letter is %q, %v", got, err)
	}
}

// Files are our own user's, and are appended to.
func TestFilesAreAppended(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c1-up%")
	for range 2 {
		at, _ := site()
		passes(t, "tee:"+dir+"/%c-%d%%", at, []byte("hello"))
	}
	got, err := os.ReadFile(file)
	if string(got) != "hellohello" {
		t.Errorf("the file has %q, %v", got, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("its mode is %v", mode)
	}
	passes(t, "tee:"+dir+"/%c-%d", nil, []byte("nowhere"))
	if got, err := os.ReadFile(filepath.Join(dir, "none-none")); string(got) != "nowhere" {
		t.Errorf("without a site the file has %q, %v", got, err)
	}
	at, _ := site()
	at.Conn = "../../c1"
	passes(t, "tee:"+dir+"/%c", at, []byte("x"))
	if _, err := os.Stat(filepath.Join(dir, ".._.._c1")); err != nil {
		t.Error(err)
	}
}
