package process

import (
	"os/exec"
	"testing"
)

// That a program has ended is known before anybody has waited for it.
func TestHasEnded(t *testing.T) {
	t.Run("handle", func(t *testing.T) { testHasEnded(t, true) })
	t.Run("none", func(t *testing.T) { testHasEnded(t, false) })
}

func testHasEnded(t *testing.T, useHandle bool) {
	cmd := exec.Command("/bin/cat")
	handle := -1
	if useHandle {
		cmd.SysProcAttr = attributes(&handle)
		cmd.SysProcAttr.Pdeathsig = 0 // no thread is kept for it here
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if hasEnded(cmd.Process) {
		t.Error("it has ended before its input")
	}
	in.Close()
	if _, err := awaitExit(cmd.Process, handle); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !hasEnded(cmd.Process) {
			t.Error("it has not ended when awaitExit says so")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
