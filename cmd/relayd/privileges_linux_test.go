package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"relayd/cmd/relayd/internal/sandbox"
	"relayd/tests/leak"
)

// statusOf are the fields of a status in /proc that say what a process may.
func statusOf(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// Of a relayd that root has started with --user and --sandbox on, /proc shows
// nothing that root has: of no thread, also after conns and a reload, nor of the
// programs that it runs. SECURITY.md says how to look.
func TestPrivilegesAreGone(t *testing.T) {
	leak.Check(t)
	dir := shortDir(t)
	var args []string
	want := map[string]string{"NoNewPrivs": "1"}
	if os.Getuid() == 0 { // elsewhere there is nothing to give up
		if err := os.Chown(dir, 54321, 54322); err != nil {
			t.Fatal(err)
		}
		args = []string{"--user", "54321:54322"}
		want = map[string]string{
			"Uid": "54321 54321 54321 54321", "Gid": "54322 54322 54322 54322", "Groups": "54322", "NoNewPrivs": "1",
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
		}
	}
	if sandbox.Version() > 0 {
		args = append(args, "--sandbox", "on")
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	// Neither is taken or given by relayd: with NoNewPrivs nothing that is in the
	// bounding set can be had any more, and filters of calls are the unit's.
	for _, name := range []string{"CapBnd", "Seccomp"} {
		want[name] = statusOf(string(own))[name]
	}
	program := filepath.Join(dir, "listen.sock")
	d := startDaemon(t, dir, nil, append(args, "-l", program, "-t", "exec:///bin/cat?arg=/proc/self/status&arg=-")...)
	holds := func(what, text string) {
		t.Helper()
		got := statusOf(text)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", what, name, got[name], value)
			}
		}
	}
	threads := func() (n int) {
		t.Helper()
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
		for _, name := range append(tasks, fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid)) {
			text, err := os.ReadFile(name)
			if err != nil || !strings.Contains(string(text), "nonvoluntary_ctxt_switches") {
				continue // a thread that has ended
			}
			holds(name, string(text))
			n++
		}
		return n
	}
	if n := threads(); n < 3 {
		t.Errorf("only %d threads were seen", n)
	}
	var conns []net.Conn
	for range 4 {
		c, err := net.Dial("unix", program)
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.UnixConn).CloseWrite()
		conns = append(conns, c)
	}
	threads()
	for _, c := range conns {
		text, err := io.ReadAll(c)
		c.Close()
		if err != nil {
			t.Errorf("%v, %s", err, &d.out)
		}
		holds("a program", string(text))
	}
	d.run("reload")
	threads()
	if slices.Contains(args, "on") && !strings.Contains(d.out.String(), "restricted by Landlock") {
		t.Errorf("it does not say that files are restricted: %s", &d.out)
	}
}
