package main

import (
	"runtime"
	"testing"
	"time"
)

// What a process burned is found when the thread, or the child, that did it is
// gone.
func TestCPU(t *testing.T) {
	for _, how := range []string{"thread", "child"} {
		t.Run(how, func(t *testing.T) {
			start := time.Now()
			s := startRole(t, "burner", how)
			if _, err := s.hear(); err != nil {
				t.Fatal(err)
			}
			got, err := cpuOf(s.cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			most := time.Since(start) * time.Duration(runtime.NumCPU())
			if got < burnt-2*tick || got > most {
				t.Errorf("%v were burned, in at most %v of all cores; accounted: %v", burnt, most, got)
			}
		})
	}
}

// A process that does nothing costs nothing, and has memory and descriptors.
func TestUsage(t *testing.T) {
	s := startRole(t, "burner", "nothing")
	if _, err := s.hear(); err != nil {
		t.Fatal(err)
	}
	u, err := usageOf(s.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u.memory < 100<<10 || u.memory > 1<<30 {
		t.Errorf("its memory is %d bytes", u.memory)
	}
	if u.fds < 3 || u.fds > 100 {
		t.Errorf("it has %d descriptors", u.fds)
	}
	before := u.cpu
	if u, err = usageOf(s.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if idle := u.cpu - before; idle > burnt {
		t.Errorf("it waits, and took %v of CPU time", idle)
	}
}

func TestUsageOfNobody(t *testing.T) {
	cmd, err := role("burner", "once")
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if u, err := usageOf(cmd.Process.Pid); err == nil {
		t.Errorf("a process that has ended has %+v", u)
	}
}
