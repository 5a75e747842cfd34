package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// build makes a relayd and returns its path. It is what [Run] sets.
var build func() (string, error)

// Run runs the tests of a package which run relayd as a program, and throws away
// what [Relayd] has built for them. It returns what they return:
// os.Exit(program.Run(leak.M{M: m}.Run)).
func Run(tests func() int) int {
	scratch, err := os.MkdirTemp("", "relayd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	build = sync.OnceValues(func() (string, error) {
		path := filepath.Join(scratch, "relayd")
		if out, err := exec.Command("go", "build", "-o", path, "relayd/cmd/relayd").CombinedOutput(); err != nil {
			return "", fmt.Errorf("build: %w\n%s", err, out)
		}
		return path, nil
	})
	return tests()
}

// Relayd returns the path of a relayd of now, which is built once for all tests of
// a package. Its TestMain is to call [Run].
func Relayd(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
