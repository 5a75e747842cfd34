package service

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/tests/program"
)

// patience bounds every wait.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	if where := program.Role(); where != "" {
		os.Exit(beTarget(where))
	}
	os.Exit(program.Run(leak.M{M: m}.Run))
}

// A proc is a program that runs until the end of its test at the latest.
type proc struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   string         // the file with all that it says
	quit  syscall.Signal // tells it to end
	ended chan struct{}
}

// spawn runs a program. It stops by a signal at the end of the test, and if that
// does not help by SIGKILL.
func spawn(t *testing.T, cmd *exec.Cmd) *proc {
	t.Helper()
	p := &proc{t: t, cmd: cmd, log: filepath.Join(t.TempDir(), "log"), quit: syscall.SIGTERM, ended: make(chan struct{})}
	file, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stderr = file
	if cmd.Stdout == nil {
		cmd.Stdout = file
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait()
	t.Cleanup(p.stop)
	return p
}

func (p *proc) wait() {
	defer close(p.ended)
	p.cmd.Wait()
}

func (p *proc) stop() {
	p.cmd.Process.Signal(p.quit)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Errorf("%v: it does not end", p.cmd.Args)
		p.cmd.Process.Kill()
		<-p.ended
	}
	if p.t.Failed() {
		p.t.Logf("%s said\n%s", filepath.Base(p.cmd.Path), p.said())
	}
}

// alive fails the test if the program has ended.
func (p *proc) alive() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("%v: it has ended: %v\n%s", p.cmd.Args, p.cmd.ProcessState, p.said())
	default:
	}
}

func (p *proc) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// saying waits for a line with all of the words, and returns it.
func (p *proc) saying(t *testing.T, words ...string) (line string) {
	t.Helper()
	until(t, fmt.Sprintf("%s says %q", filepath.Base(p.cmd.Path), words), func() bool {
		p.alive()
		for line = range strings.Lines(p.said()) {
			if containsAll(line, words) {
				return true
			}
		}
		return false
	})
	return line
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// until waits for what nobody announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%v later still not: %s", patience, what)
		}
	}
}

// relayd runs the program from a file, with variables and flags, and waits until
// it accepts. It returns where: host and port of each listener.
func relayd(t *testing.T, file string, variables []string, inherited []*os.File, flags ...string) (*proc, []string) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	cmd := exec.Command(program.Relayd(t), append([]string{"run", "-c", file, "--admin", "none", "--ready-file", ready}, flags...)...)
	cmd.Env = append(os.Environ(), variables...)
	cmd.ExtraFiles = inherited
	p := spawn(t, cmd)
	var addrs []string
	until(t, "relayd accepts", func() bool {
		p.alive()
		text, err := os.ReadFile(ready)
		addrs = nil
		for line := range strings.Lines(string(text)) {
			_, addr, _ := strings.Cut(strings.TrimSpace(line), "://")
			addr, _, _ = strings.Cut(addr, "?")
			addrs = append(addrs, addr)
		}
		return err == nil
	})
	return p, addrs
}

// listen returns a listener for somebody else, who inherits the file.
func listen(t *testing.T) (file *os.File, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if file, err = ln.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, ln.Addr().String()
}

// output runs a program to its end, and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &out)
	}
	return out.String()
}

// dial connects from an address. What the connection then does is bounded by
// patience, and it is closed at the end of the test.
func dial(t *testing.T, from, to string) (*net.TCPConn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience, KeepAlive: -1}
	d.SetMultipathTCP(false)
	c, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn), nil
}

func mustDial(t *testing.T, from, to string) *net.TCPConn {
	t.Helper()
	c, err := dial(t, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
