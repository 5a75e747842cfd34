package lifetime_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/tests/program"
)

// The configurations of lifetime.pml that are checked; MODEL.md says what each
// part of one means.
var modelSound = []string{
	"N=1 POLICY=0 SHUT=2",
	"N=1 POLICY=1 SHUT=2 NODRAIN",
	"N=1 POLICY=2 SHUT=1",
	"N=1 POLICY=3 SHUT=2 NODRAIN",
	"N=1 POLICY=0 SHUT=2 LATE NODRAIN",
	"N=1 POLICY=3 SHUT=1 GIVEUP TWODROPS NOOPS NODRAIN",
	"N=1 POLICY=3 SHUT=0 GIVEUP TWODROPS NODRAIN",
	"N=1 POLICY=0 SHUT=1 FINISH NODRAIN",
	"N=1 POLICY=3 SHUT=0 FINISH NODRAIN",
	"N=2 POLICY=0 SHUT=1 NODRAIN",
	"N=2 POLICY=2 SHUT=1 NODRAIN NOOPS",
	"N=2 POLICY=3 SHUT=0 NODRAIN",
	"N=2 SHUT=2 NODRAIN NODROP",
	"N=3 SHUT=2 NODRAIN NOOPS NODROP",
	"N=3 POLICY=2 SHUT=0 NODRAIN NOOPS",
}

// Planted errors: a model that finds none of these proves nothing.
var modelBroken = map[string]string{
	"released before the last operation has left":     "N=1 SHUT=1 MUTATE=1",
	"a child is counted, and listed outside the lock": "N=1 SHUT=1 LATE NODRAIN MUTATE=2",
	"nobody hears that an operation has left":         "N=1 SHUT=1 MUTATE=3",
	"the parent is told after the child's release":    "N=1 SHUT=1 MUTATE=4",
	"a shutdown does not wake operations":             "N=1 SHUT=1 LATE NODRAIN MUTATE=5",
	"a waiter looks before it asks to be woken":       "N=1 SHUT=1 MUTATE=6",
	"a shutdown returns early":                        "N=1 SHUT=1 MUTATE=7",
}

// modelOnce keeps what spin said: a model does not change between the runs of
// -count.
var modelOnce sync.Map

func TestModel(t *testing.T) {
	program.Need(t, "spin")
	program.Need(t, "gcc")
	for _, config := range modelSound {
		t.Run(strings.ReplaceAll(config, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if out := spin(t, config); !strings.Contains(out, "errors: 0") {
				t.Errorf("spin:\n%s", out)
			}
		})
	}
	for name, config := range modelBroken {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if out := spin(t, config); !strings.Contains(out, "errors: 1") {
				t.Errorf("spin found no error:\n%s", out)
			}
		})
	}
}

// spin checks one configuration, and returns what the verifier printed.
func spin(t *testing.T, config string) string {
	t.Helper()
	check := sync.OnceValue(func() string { return runSpin(t, config) })
	out, _ := modelOnce.LoadOrStore(config, check)
	return out.(func() string)()
}

func runSpin(t *testing.T, config string) string {
	model, err := filepath.Abs("lifetime.pml")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute) // for what hangs: a loaded machine takes minutes
	defer stop()
	dir := t.TempDir()
	step := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	args := []string{"-a"}
	for _, d := range strings.Fields(config) {
		args = append(args, "-D"+d)
	}
	step("spin", append(args, model)...)
	step("gcc", "-O1", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c")
	// The verifier's status is not 0 when it has found an error.
	pan := exec.CommandContext(ctx, filepath.Join(dir, "pan"), "-m10000")
	pan.Dir = dir
	found, _ := pan.CombinedOutput()
	out := string(found)
	if strings.Contains(out, "Search not completed") && !strings.Contains(out, "errors: 1") {
		t.Fatalf("the search did not end:\n%s", out)
	}
	os.RemoveAll(dir)
	return out
}
