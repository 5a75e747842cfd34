package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"relayd/tests/program"
)

// exposed is how much the service may be, of 100, as systemd counts: a relay has
// the network, and local sockets.
const exposed = "20"

// systemd finds nothing wrong with the units, and the service well shut in.
func TestUnits(t *testing.T) {
	analyze := program.Need(t, "systemd-analyze")
	dir := t.TempDir()
	for _, name := range []string{"relayd.service", "relayd.socket"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// relayd is not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/relayd"), []byte("/bin/true"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"verify", "--man=no", "./relayd.service", "./relayd.socket"},
		{"security", "--offline=yes", "--threshold=" + exposed, "./relayd.service"},
	} {
		cmd := exec.Command(analyze, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
	}
}
