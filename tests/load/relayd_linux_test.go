package load

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/tests/program"
)

// fdLimit is relayd's: what many a service is given. Two conns of it are a conn,
// and some are relayd's own.
const fdLimit = 20_000

// patience bounds every wait.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if at := program.Role(); at != "" {
		os.Exit(serve(at))
	}
	os.Exit(program.Run(leak.M{M: m}.Run))
}

// A relayd is the real one, in a process of its own.
type relayd struct {
	t     *testing.T
	cmd   *exec.Cmd
	addrs []string // where it accepts, in the order of its configuration
	log   string   // a file
}

// start runs relayd and waits until it accepts.
func start(t *testing.T, args ...string) *relayd {
	t.Helper()
	return startOn(t, nil, args...)
}

// startOn runs one to which files are handed, as descriptors 3 and on.
func startOn(t *testing.T, files []*os.File, args ...string) *relayd {
	t.Helper()
	dir := t.TempDir()
	ready, log := filepath.Join(dir, "ready"), filepath.Join(dir, "log")
	cmd := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, fdLimit), program.Relayd(t),
		"--ready-file", ready, "--log-level", "warn"}, args...)...)
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stderr, cmd.ExtraFiles = file, files
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &relayd{t: t, cmd: cmd, log: log}
	t.Cleanup(r.kill)
	r.until("it is ready", func() bool {
		text, err := os.ReadFile(ready)
		r.addrs = strings.Fields(string(text))
		return err == nil
	})
	return r
}

// at returns where its listener i is, as a dialler wants it.
func (r *relayd) at(i int) string {
	_, rest, _ := strings.Cut(r.addrs[i], "://")
	rest, _, _ = strings.Cut(rest, "?")
	return rest
}

func (r *relayd) kill() { // unless it has ended
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// end has it drain, and wants no complaint but those that have one of the words.
func (r *relayd) end(but ...string) {
	r.t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("relayd: %v", err)
	}
	text, err := os.ReadFile(r.log)
	if err != nil {
		r.t.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		if !slices.ContainsFunc(but, func(word string) bool { return strings.Contains(line, word) }) {
			r.t.Errorf("it has logged %s", line)
		}
	}
}

// until waits for what nobody announces.
func (r *relayd) until(what string, ok func() bool) {
	r.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			r.t.Fatalf("%v later still not: %s", patience, what)
		}
	}
}

// rss returns its resident memory, in bytes.
func (r *relayd) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return n << 10
		}
	}
	r.t.Fatal("no VmRSS")
	return 0
}

// fds returns how many descriptors it has.
func (r *relayd) fds() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// sample looks at the memory until ended.
func (r *relayd) sample(ended <-chan struct{}) (sizes []int64) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			sizes = append(sizes, r.rss())
		case <-ended:
			return sizes
		}
	}
}

// flat wants the memory of the last quarter to be that of the second one: the
// first is for warming up.
func (r *relayd) flat(sizes []int64) {
	if len(sizes) < 8 {
		r.t.Fatalf("%d samples are too few to tell: ask for more -visits", len(sizes))
	}
	quarter := len(sizes) / 4
	early, late := median(sizes[quarter:2*quarter]), median(sizes[len(sizes)-quarter:])
	r.t.Logf("resident: %d kB in the second quarter, %d kB in the last: %.3f", early>>10, late>>10, float64(late)/float64(early))
	if late > early+early/4+(4<<20) {
		r.t.Errorf("it grows: %d kB, then %d kB", early>>10, late>>10)
	}
}

func median(list []int64) int64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}
