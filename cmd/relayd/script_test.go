package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"relayd/cmd/relayd/internal/sandbox"
	"relayd/tests/leak"
)

// Each script below testdata/script is one thing that the command line promises,
// and its name. What scripts can say beside testscript's own commands is in
// scriptCommands. One script alone: go test -run TestScript/version .

// TestMain makes this test binary relayd when it is called by that name.
func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv("RELAYD_ADMIN"); !ok {
		os.Setenv("RELAYD_ADMIN", "none") // as scripts have it; this may also be a script's relayd
	}
	testscript.Main(leak.M{M: m}, map[string]func(){"relayd": mainWithLeak})
}

// scriptCondition knows what a script may ask beside testscript's own conditions.
func scriptCondition(name string) (bool, error) {
	switch name {
	case "landlock":
		return sandbox.Version() > 0, nil
	case "root":
		return os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setupScript,
		Cmds:                scriptCommands,
		Condition:           scriptCondition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}
