package leak

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plant, in a child of TestMainStatus, says what TestPlant leaves behind.
var plant = os.Getenv("RELAYD_LEAK_PLANT")

// soon is a wait that only a found leak waits out.
const soon = 20 * time.Millisecond

func TestMain(m *testing.M) {
	if plant != "" {
		patience = soon
	}
	Main(m)
}

// blockedByLeak has a name that a stack can be searched for.
func blockedByLeak(c chan struct{}) { <-c }

// TestPlant leaves things behind when it is told to. Alone it does nothing.
func TestPlant(t *testing.T) {
	switch plant {
	case "goroutine":
		go blockedByLeak(make(chan struct{}))
	case "fd":
		// A plain number: nothing collects it.
		if _, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0); err != nil {
			t.Fatal(err)
		}
	case "failure":
		go blockedByLeak(make(chan struct{}))
		t.Fatal("planted failure")
	case "count":
		plantCount(t)
	}
}

func TestMainStatus(t *testing.T) {
	for _, test := range []struct {
		plant   string
		clean   bool
		want    []string
		without string
	}{
		{plant: "nothing", clean: true, without: "leak:"},
		{plant: "goroutine", want: []string{"0 file descriptors and 1 goroutines", "leak.blockedByLeak"}},
		{plant: "fd", want: []string{"1 file descriptors and 0 goroutines", "fd "}},
		{plant: "failure", want: []string{"planted failure"}, without: "leak:"},
		{plant: "count", clean: true, want: []string{"counted 1 and 2 more"}},
	} {
		t.Run(test.plant, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.run=^TestPlant$", "-test.v")
			child.Env = append(os.Environ(), "RELAYD_LEAK_PLANT="+test.plant)
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
				t.Fatalf("%v\n%s", err, out)
			}
			if clean := err == nil; clean != test.clean {
				t.Errorf("clean exit: %v, want %v", clean, test.clean)
			}
			for _, s := range test.want {
				if !strings.Contains(string(out), s) {
					t.Errorf("output lacks %q", s)
				}
			}
			if test.without != "" && strings.Contains(string(out), test.without) {
				t.Errorf("output has %q", test.without)
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
		})
	}
}

func TestGoroutineIsFound(t *testing.T) {
	Check(t)
	b := take()
	c := make(chan struct{})
	go blockedByLeak(c)
	left := b.wait(soon)
	close(c)
	if len(left.goroutines) != 1 || !strings.Contains(left.goroutines[0], "leak.blockedByLeak") || len(left.fds) != 0 {
		t.Errorf("found %v, want the goroutine in blockedByLeak", left)
	}
	if left := b.wait(patience); !left.empty() {
		t.Errorf("after its end found %v", left)
	}
}

func TestFDIsFound(t *testing.T) {
	Check(t)
	b := take()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	left := b.wait(soon)
	text := left.String()
	l.Close()
	if len(left.fds) != 1 || len(left.goroutines) != 0 {
		t.Fatalf("found %s, want one descriptor", text)
	}
	if want := "local " + l.Addr().String(); !strings.Contains(text, want) {
		t.Errorf("found %s, want %q in it", text, want)
	}
	if left := b.left(); !left.empty() {
		t.Errorf("after its end found %v", left)
	}
}

// A leak must not hide behind a number that was open before.
func TestReusedFDIsFound(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b := take()
	n := int(r.Fd())
	r.Close()
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := int(f.Fd()); got != n {
		t.Fatalf("the lowest free number is %d, but %d was given out", n, got)
	}
	if left := b.left(); len(left.fds) != 1 || left.fds[0] != n {
		t.Errorf("found %v, want fd %d", left, n)
	}
}

// What ends within the wait is no leak.
func TestLateEnd(t *testing.T) {
	Check(t)
	b := take()
	c := make(chan struct{})
	go blockedByLeak(c)
	time.AfterFunc(soon, func() { close(c) })
	if left := b.wait(patience); !left.empty() {
		t.Errorf("found %v", left)
	}
}

func TestSignalsAreNoLeak(t *testing.T) {
	b := take()
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	signal.Stop(c)
	if left := b.wait(soon); !left.empty() {
		t.Errorf("found %v", left)
	}
}

// recorder is a test that Check and its cleanup can fail.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   int
}

func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (r *recorder) Failed() bool          { return r.errors > 0 }

func TestCheckFails(t *testing.T) {
	Check(t)
	old := patience
	patience = soon
	defer func() { patience = old }()

	r := &recorder{TB: t}
	Check(r)
	c := make(chan struct{})
	go blockedByLeak(c)
	r.cleanups[0]()
	close(c)
	if r.errors != 1 {
		t.Errorf("Check reported %d errors, want 1", r.errors)
	}
}

// A child that stays is found, and on Linux one of its children when it has ended.
func TestProcessesFails(t *testing.T) {
	Check(t)
	Processes(t)
	old := patience
	defer func() { patience = old }()
	for script, stays := range map[string]bool{
		"exit 0":                        false,
		"exec sleep 1000":               true,
		"sleep 1000 & exit 0":           runtime.GOOS == "linux",
		"sleep 0.001 >/dev/null & exit": false,
	} {
		r := &recorder{TB: t}
		Processes(r)
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if patience = old; stays {
			patience = soon
		}
		r.cleanups[0]()
		if stays != (r.errors == 1) {
			t.Errorf("%s: %d errors", script, r.errors)
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Process.Release()
	}
	patience = old // what was killed may take its time to be gone
}

func TestCheckRefusesParallel(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("Check in a parallel test does not panic")
		}
	}()
	Check(t)
}

// plantCount is what TestPlant does about Count. It is the first test of its process:
// the goroutine of a test before it may still be on its way out, and would be
// counted or not.
func plantCount(t *testing.T) {
	g, n := Count()
	c := make(chan struct{})
	defer close(c)
	go blockedByLeak(c)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	g2, n2 := Count()
	r.Close()
	w.Close()
	if g2 != g+1 || n2 != n+2 {
		t.Errorf("a goroutine and a pipe took the counts from %d, %d to %d, %d", g, n, g2, n2)
	}
	if _, n3 := Count(); n3 != n {
		t.Errorf("closing the pipe took the descriptors to %d, want %d", n3, n)
	}
	t.Logf("counted %d and %d more", g2-g, n2-n)
}
