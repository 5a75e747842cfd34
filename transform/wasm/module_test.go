package wasm

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/transform"
)

func TestCompiledOnce(t *testing.T) {
	a, err := load("testdata/upper.wasm", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "copy.wasm")
	code, err := os.ReadFile("testdata/upper.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := load(file, 16, false)
	if err != nil || a != b {
		t.Errorf("the same bytes are compiled twice: %v", err)
	}
	for _, other := range []func() (*module, error){
		func() (*module, error) { return load(file, 17, false) },
		func() (*module, error) { return load(file, 16, true) },
		func() (*module, error) { return load("testdata/guest.wasm", 16, false) },
	} {
		if c, err := other(); err != nil || c == a {
			t.Errorf("others are the same: %v", err)
		}
	}
	runtime.KeepAlive(a)
}

// What no stage refers to is forgotten.
func TestForgotten(t *testing.T) {
	known := func(pages uint32) bool {
		modules.mu.Lock()
		defer modules.mu.Unlock()
		for k := range modules.known {
			if k.pages == pages {
				return true
			}
		}
		return false
	}
	s := parse(t, "wasm:testdata/upper.wasm,memory=1234MiB")
	const pages = 1234 << 20 / pageSize
	runtime.GC()
	if !known(pages) {
		t.Error("it is forgotten while a stage refers to it")
	}
	runtime.KeepAlive(s)
	for end := time.Now().Add(patience); known(pages); runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("it is never forgotten")
		}
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "\x00asm\x01\x00\x00\x00"
	// A function type without parameters, and an import or an export.
	types := "\x01\x04\x01\x60\x00\x00"
	// Nobody writes to it, and whoever opened it would wait for that.
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, want string }{
		{fifo, "not a file"},
		{filepath.Join(dir, "none"), "no such file or directory"},
		{dir, "not a file"},
		{"/dev/zero", "not a file"},
		{write("empty", ""), "not a WebAssembly module"},
		{write("elf", "\x7fELF..............."), "not a WebAssembly module"},
		{write("text", " (module)"), "WebAssembly text: build a module of it, with wat2wasm"},
		{write("component", "\x00asm\x0d\x00\x01\x00"), "a WebAssembly component: want a WASI preview 1 module"},
		{write("future", "\x00asm\x02\x00\x00\x00"), "WebAssembly of the unknown version 02000000"},
		{write("nothing", head), "not a command: it has no function _start"},
		{write("garbage", head+"\xff\xff\xff"), "section"},
		{write("cut", head+types[:3]), "not a whole WebAssembly module"},
		{write("foreign", head+types+"\x02\x07\x01\x01e\x01f\x00\x00"), "it wants the function f of e, and there is wasi_snapshot_preview1 only"},
	} {
		_, err := transform.ParseStage("wasm:" + test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.file) {
			t.Errorf("%s: got %v, want %s", test.file, err, test.want)
		}
	}
	if _, err := transform.ParseStage("wasm:testdata/guest.wasm,memory=64KiB"); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("more memory than allowed: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for in, want := range map[string]string{
		"wasm:testdata/upper.wasm":                            "wasm:testdata/upper.wasm",
		"wasm:testdata/upper.wasm,memory=64MiB,trusted=false": "wasm:testdata/upper.wasm",
		"wasm:file=testdata/upper.wasm,memory=2048KiB":        "wasm:testdata/upper.wasm,memory=2MiB",
		"wasm:testdata/upper.wasm,memory=200KiB":              "wasm:testdata/upper.wasm,memory=192KiB",
		"wasm:testdata/upper.wasm,memory=4GiB,args=a 'b c'":   "wasm:testdata/upper.wasm,args=a 'b c',memory=4GiB",
		`wasm:testdata/upper.wasm,trusted=true,env="A=b,c"`:   `wasm:testdata/upper.wasm,env="A=b,c",trusted=true`,
	} {
		s := parse(t, in)
		if s.String() != want {
			t.Errorf("%s is written %s, want %s", in, s, want)
		}
		if again := parse(t, s.String()); again.String() != want {
			t.Errorf("%s is written %s", s, again)
		}
	}
	for in, want := range map[string]string{
		"wasm":                      `stage wasm needs its option "file": write wasm:FILE`,
		"wasm:x,memory=1":           "want a size from 64KiB to 4GiB, such as 16MiB",
		"wasm:x,memory=63KiB":       "want a size from 64KiB to 4GiB, such as 16MiB",
		"wasm:x,memory=5GiB":        "want a size from 64KiB to 4GiB, such as 16MiB",
		"wasm:x,memory=99999999MiB": "want a size from 64KiB to 4GiB, such as 16MiB",
		"wasm:x,memory=-1MiB":       "want a size from 64KiB to 4GiB, such as 16MiB",
		"wasm:x,trusted=yes":        "want true or false",
		"wasm:x,env=A":              `want words of the form NAME=VALUE, not "A"`,
		"wasm:x,env==A":             `want words of the form NAME=VALUE, not "=A"`,
		"wasm:x,args='a":            "the quote ' is not closed",
		"wasn:x":                    `unknown stage "wasn": did you mean "wasm"?`,
		"brotli":                    "wasm",
	} {
		if _, err := transform.ParseStage(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	if s := parse(t, "wasm:testdata/upper.wasm"); s.String() == "" {
		t.Error("no text")
	} else if _, err := s.Inverse(); err == nil {
		t.Error("it has an inverse")
	}
}
