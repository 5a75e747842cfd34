package wasm

// The modules in testdata are those of the sources beside them.

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relayd/tests/program"
)

// keptBy is the compiler that made the modules that are kept. Another one makes
// other bytes, which must do the same.
const keptBy = "14."

func TestKeptModules(t *testing.T) {
	clang := program.Need(t, "clang")
	program.Need(t, "wasm-ld")
	dir := t.TempDir()
	if out, err := exec.Command("testdata/build", dir).CombinedOutput(); err != nil {
		t.Fatalf("testdata/build: %v: needs Debian's packages clang, lld, wasi-libc, libclang-rt-dev-wasm32\n%s", err, out)
	}
	version, err := exec.Command(clang, "-dumpversion").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(version), keptBy) {
		for _, name := range []string{"upper.wasm", "guest.wasm"} {
			kept, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			built, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(kept, built) {
				t.Errorf("testdata/%s is not of its source: run testdata/build", name)
			}
		}
	}
	for stage, want := range map[string]string{
		"upper.wasm": "HELLO", "guest.wasm,args=copy": "hello", "guest.wasm,args='copy=4' say=!": "hell!\n",
	} {
		r := parse(t, "wasm:"+filepath.Join(dir, stage)).Open(strings.NewReader("hello"))
		var got bytes.Buffer
		if _, err := got.ReadFrom(r); err != nil || got.String() != want {
			t.Errorf("%s makes %q of hello, want %q; %v", stage, &got, want, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
