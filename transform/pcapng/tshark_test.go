package pcapng

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relayd/tests/program"
)

// tshark runs it on a capture.
func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program.Need(t, "tshark"), append([]string{"-n", "-r", file}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, &stderr)
	}
	return string(out)
}

// follow returns what both directions of a stream are to tshark.
func follow(t *testing.T, file string, stream int) (up, down []byte) {
	t.Helper()
	for line := range strings.Lines(tshark(t, file, "-q", "-z", fmt.Sprintf("follow,tcp,raw,%d", stream))) {
		text := strings.TrimRight(line, "\n")
		reply := strings.HasPrefix(text, "\t")
		b, err := hex.DecodeString(strings.TrimPrefix(text, "\t"))
		switch {
		case err != nil: // the frame around it
		case reply:
			down = append(down, b...)
		default:
			up = append(up, b...)
		}
	}
	return up, down
}

// Another reader than ours sees the same, and finds nothing to complain about:
// no retransmission, no gap, no bad checksum, no full window.
func TestTshark(t *testing.T) {
	program.Need(t, "tshark")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := Append(openCapture(t, file))
	if err != nil {
		t.Fatal(err)
	}
	addresses := [][2]string{
		{"10.1.2.3:40000", "10.9.9.9:50001"},
		{"[fd00::1]:40000", "[fd00::2]:50001"},
		{"@", "/run/a.sock"},
	}
	up, down := noise(1, 200_000), noise(2, 700_000)
	w.isn = func() uint32 { return 1<<32 - 100_000 }
	for i, a := range addresses {
		c := w.Conn(noon, fmt.Sprint("conn-", i), a[0], a[1])
		talk(t, c, rand.New(rand.NewPCG(5, uint64(i))), up, down)
		c.Finish(Up, noon)
		c.Finish(Down, noon)
		c.Close(noon)
	}
	w.isn = func() uint32 { return 5 } // the addresses are those of the first
	w.Conn(noon, "conn-reset", "10.1.2.3:40000", "10.9.9.9:50001").Close(noon)
	for i := range addresses {
		gotUp, gotDown := follow(t, file, i)
		if !bytes.Equal(gotUp, up) || !bytes.Equal(gotDown, down) {
			t.Errorf("stream %d: got %d bytes up and %d down, want %d and %d", i, len(gotUp), len(gotDown), len(up), len(down))
		}
	}
	checks := []string{"-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	bad := tshark(t, file, append(checks, "-Y",
		`(tcp.analysis.flags and not tcp.analysis.reused_ports) or tcp.checksum.status != 1 or _ws.malformed or _ws.expert.severity == error`+
			` or tcp.window_size_scalefactor != 64 or tcp.analysis.bytes_in_flight > 400000`)...)
	if bad != "" {
		t.Errorf("tshark complains about\n%s", bad)
	}
	resets := tshark(t, file, "-Y", "tcp.flags.reset==1", "-T", "fields", "-e", "tcp.stream")
	if strings.TrimSpace(resets) != "3" {
		t.Errorf("the streams with a reset are %q, want 3", resets)
	}
	first := tshark(t, file, "-Y", "frame.number==1", "-T", "fields", "-e", "frame.comment", "-e", "frame.time_epoch")
	if want := fmt.Sprintf("conn-0: client 10.1.2.3:40000, upstream 10.9.9.9:50001\t%d.123456789\n", noon.Unix()); first != want {
		t.Errorf("the first packet has %q, want %q", first, want)
	}
}

// A file that was torn and continued is right to tshark, too, which reads all of
// its sections.
func TestTsharkReadsContinuedFile(t *testing.T) {
	program.Need(t, "tshark")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	appendTo(t, file, "one")
	b := contents(t, file)
	if err := os.WriteFile(file, b[:len(b)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Append(openCapture(t, file))
	if err != nil {
		t.Fatal(err)
	}
	c := w.Conn(noon, "", "1.2.3.4:7", "6.7.8.9:10")
	c.Write(Up, noon, []byte("two"))
	c.Write(Down, noon, []byte("three"))
	c.Close(noon)
	if up, _ := follow(t, file, 0); string(up) != "one" {
		t.Errorf("the first stream is %q", up)
	}
	if up, down := follow(t, file, 1); string(up) != "two" || string(down) != "three" {
		t.Errorf("the second stream is %q and %q", up, down)
	}
}
