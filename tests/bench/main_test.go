package main

import (
	"maps"
	"os"
	"testing"

	"relayd/tests/leak"
)

// testRoles are roles of processes that only tests have.
var testRoles = map[string]func([]string) error{
	"liar":   func(args []string) error { return serveLies(args[0], args[1], args[2]) },
	"burner": func(args []string) error { return burn(args[0], os.Stdin, os.Stdout) },
}

// TestMain makes the test binary what bench is to its processes: whoever has a
// role plays it.
func TestMain(m *testing.M) {
	maps.Copy(roles, testRoles)
	if played, err := playRole(); played {
		exit(err)
	}
	leak.Main(m)
}

// startRole starts a process that does not outlive the test.
func startRole(t *testing.T, name string, args ...string) *session {
	t.Helper()
	s, err := startSession(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(true) })
	return s
}
