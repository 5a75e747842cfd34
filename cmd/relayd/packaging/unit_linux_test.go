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

// The settings that the service says listen below port 1024. A capability that is
// had in a user namespace of one's own is none over the network of the machine.
func TestUnitForLowPorts(t *testing.T) {
	text, err := os.ReadFile("relayd.service")
	if err != nil {
		t.Fatal(err)
	}
	private := false
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		if string(key) == "PrivateUsers" {
			private = string(value) == "yes"
		}
	}
	advice, _, _ := bytes.Cut(text, []byte("\n[Unit]\n"))
	if !bytes.Contains(advice, []byte("AmbientCapabilities=CAP_NET_BIND_SERVICE")) {
		t.Fatalf("it does not say how:\n%s", advice)
	}
	if private && !bytes.Contains(advice, []byte("PrivateUsers=no")) {
		t.Errorf("with PrivateUsers=yes ports below 1024 stay refused:\n%s", advice)
	}
}
