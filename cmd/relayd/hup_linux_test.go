package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var hupTime = flag.Duration("hup", 2*time.Second, "how long TestHangupsLoseNoConn goes on")

// hupConfig is what the file says in turn: another chain, another balance, one more
// listener, and the listener of the clients as ever.
func hupConfig(port int, other bool) string {
	more, up, balance := "", "", "first"
	if other {
		more, up, balance = "  more: {on: 127.0.0.1:0, route: first}\n", ", up: count", "hash"
	}
	return fmt.Sprintf("version: 1\nlisteners:\n  first: {on: 127.0.0.1:%d, route: first}\n%s"+
		"routes: {first: {upstream: echo%s}}\nupstreams: {echo: {balance: %s, targets: [\"echo:\", {address: \"echo:\", name: two}]}}\n",
		port, more, up, balance)
}

// Conns come and go while relayd is told to reload, ten times a second, a file that
// says something else each time: none of them is lost.
func TestHangupsLoseNoConn(t *testing.T) {
	hold, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := hold.Addr().(*net.TCPAddr).Port
	hold.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "relayd.yaml")
	put := func(other bool) { // whole, at once: as editors do
		next := file + ".next"
		if err := errors.Join(os.WriteFile(next, []byte(hupConfig(port, other)), 0o600), os.Rename(next, file)); err != nil {
			t.Fatal(err)
		}
	}
	put(false)
	relayd, err := exec.LookPath("relayd") // this test binary, by the name that makes it that
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(relayd, "-c", file, "--admin", "none", "--log-level", "info", "--log-rate", "off")
	logged, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logged.Close()
	cmd.Stderr = logged
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it accepts
		t.Fatal(err)
	}
	load := hupLoad{at: fmt.Sprintf("127.0.0.1:%d", port)}
	for range 4 {
		load.running.Go(load.run)
	}
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	n := 0
	for end := time.Now().Add(*hupTime); time.Now().Before(end); n++ {
		<-every.C
		put(n%2 == 0)
		cmd.Process.Signal(syscall.SIGHUP)
	}
	load.over.Store(true)
	load.running.Wait()
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("relayd: %v", err)
	}
	text, _ := os.ReadFile(logged.Name())
	done := strings.Count(string(text), "reloaded file=")
	t.Logf("%d conns, %d hangups, %d reloads", load.good.Load(), n, done)
	if err := load.failed.Load(); err != nil {
		t.Errorf("a conn was lost: %v", *err)
	}
	failed := false
	for line := range strings.Lines(string(text)) { // the last one may have met the drain
		failed = failed || strings.Contains(line, "reload failed") && !strings.Contains(line, "draining")
	}
	if done == 0 || load.good.Load() == 0 || failed {
		t.Errorf("reloads have failed, or there were none:\n%s", text)
	}
}

// A hupLoad is conns that come and go.
type hupLoad struct {
	at      string
	over    atomic.Bool
	good    atomic.Int64
	failed  atomic.Pointer[error]
	running sync.WaitGroup
}

func (l *hupLoad) run() {
	for !l.over.Load() {
		if err := l.one(); err != nil {
			l.failed.CompareAndSwap(nil, &err)
			return
		}
		l.good.Add(1)
	}
}

// one sends a line, and wants it back, and then the end.
func (l *hupLoad) one() error {
	c, err := net.Dial("tcp", l.at)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != "hello" {
		err = fmt.Errorf("%q came back", got)
	}
	return err
}
