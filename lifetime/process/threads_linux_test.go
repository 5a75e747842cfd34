package process

import (
	"os"
	"testing"
)

// A program that runs keeps no thread of ours: there is one for each conn and
// direction of an exec stage, and the runtime ends a process with 10,000 of them.
func TestThreads(t *testing.T) {
	const programs = 40
	before := threads(t)
	var children []*child
	for range programs {
		c := start(t, "echo ready; read x", 0)
		c.says(t, "ready")
		children = append(children, c)
	}
	if n := threads(t) - before; n > programs/2 {
		t.Errorf("%d programs keep %d threads", programs, n)
	}
	for _, c := range children {
		c.in.Close()
		within(t, c.Exited())
		c.drop(t)
	}
}

// threads returns how many threads the process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
