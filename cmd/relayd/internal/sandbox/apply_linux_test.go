package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// sandboxed is set for the process that is restricted: what is restricted once
// stays so, and these are the tests of one that is not.
const sandboxed = "RELAYD_TEST_SANDBOXED"

// inSandbox runs the test once more in a process of its own, where it gets to
// know it.
func inSandbox(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), sandboxed+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "seen to hold") {
		t.Errorf("%v\n%s", err, out)
	}
}

// All that was granted works and nothing else, on every thread, and in programs.
func TestApply(t *testing.T) {
	dir := os.Getenv(sandboxed)
	if dir == "" {
		inSandbox(t, place(t, "in/a", "in/deep/b", "out/c", "sock/x", "all/y", "other/d"))
		return
	}
	t.Chdir(dir)
	// Threads that are there before.
	stop := make(chan struct{})
	probes := make(chan chan error)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			for {
				select {
				case answer := <-probes:
					_, err := os.ReadFile("other/d")
					answer <- err
				case <-stop:
					return
				}
			}
		}()
	}
	defer close(stop)
	n := Needs{Read: []string{"in", "gone"}, Write: []string{"out/c", "all"}, Create: []string{"sock"}, Exec: []string{"/bin", "/lib", "/lib64", "/usr"}}
	n.Add(Base())
	r, err := Apply(n)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Restricted() {
		fmt.Println("seen to hold: nothing, because", r.Unrestricted)
		return
	}
	for range 8 {
		answer := make(chan error)
		probes <- answer
		if err := <-answer; !errors.Is(err, fs.ErrPermission) {
			t.Errorf("on another thread: %v", err)
		}
	}
	for _, tt := range sandboxTests {
		if err := tt.do(); errors.Is(err, fs.ErrPermission) == tt.works || err != nil && tt.works {
			t.Errorf("%s: %v, and it should be %v that it works", tt.name, err, tt.works)
		}
	}
	if fmt.Sprint(r.Missing) != "[gone]" && !strings.HasPrefix(fmt.Sprint(r.Missing), "[gone ") {
		t.Errorf("missing: %v", r.Missing)
	}
	if text := r.LogValue().String(); !strings.Contains(text, filepath.Join(dir, "sock")) {
		t.Errorf("the report has not what is restricted: %s", text)
	}
	fmt.Println("seen to hold")
}

func readIt(name string) func() error {
	return func() error { _, err := os.ReadFile(name); return err }
}

func writeIt(name string) func() error {
	return func() error { return os.WriteFile(name, []byte("new"), 0o600) }
}

func runIt(words ...string) func() error {
	return func() error {
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil && strings.Contains(string(out), "ermission denied") {
			return fs.ErrPermission
		}
		return err
	}
}

var sandboxTests = []struct {
	name  string
	do    func() error
	works bool
}{
	{"read", readIt("in/deep/b"), true},
	{"read elsewhere", readIt("other/d"), false},
	{"read a home", func() error { _, err := os.ReadDir("/root"); return err }, false},
	{"write a file", writeIt("out/c"), true},
	{"make its successor", writeIt("out/c.new"), true},
	{"remove it", func() error { return os.Remove("out/c") }, false},
	{"write what is read", writeIt("in/a"), false},
	{"make a directory", func() error { return os.Mkdir("sock/dir", 0o700) }, false},
	{"make one where all is ours", func() error { return os.MkdirAll("all/dir/deep", 0o700) }, true},
	{"move", func() error { return os.Rename("all/y", "all/dir/y") }, true},
	{"replace", func() error {
		if err := writeIt("sock/.new")(); err != nil {
			return err
		}
		return os.Rename("sock/.new", "sock/x")
	}, true},
	{"listen", func() error {
		l, err := net.Listen("unix", "sock/s")
		if err == nil {
			l.Close()
		}
		return err
	}, true},
	{"listen elsewhere", func() error { _, err := net.Listen("unix", "other/s"); return err }, false},
	{"own state", readIt("/proc/self/status"), true},
	{"nothing", writeIt(os.DevNull), true},
	{"run", runIt("/bin/cat", "in/a"), true},
	{"run what reads elsewhere", runIt("/bin/cat", "other/d"), false},
	{"run elsewhere", runIt("other/d"), false},
}
