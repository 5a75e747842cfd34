package main

import (
	"bufio"
	"fmt"
	"io"
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

// A conn that both sides finish costs one shutdown(2): it passes the first FIN
// on. When the second comes both streams are at their ends, and the close is the
// FIN.
func TestCloseIsTheFIN(t *testing.T) {
	strace := program.Need(t, "strace")
	leak.Check(t)
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	dir := t.TempDir()
	trace, ready := filepath.Join(dir, "trace"), filepath.Join(dir, "ready")
	cmd := exec.Command(strace, "-D", "-f", "-qq", "-e", "trace=shutdown", "-o", trace,
		relayd, "-l", "127.0.0.1:0", "-t", upstream.Addr().String(), "--ready-file", ready)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // if it has not ended
	late := time.AfterFunc(scriptPatience, func() { cmd.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(log)
	logged := func(text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("its log has no %q", text)
	}
	text := readWhenThere(t, ready)
	addr, _, _ := strings.Cut(strings.TrimPrefix(text, "tcp://"), "\n")
	const conns = 10
	for i := range conns {
		relayOnce(t, addr, upstream, i%2 == 0)
		logged("reason=eof")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	io.Copy(io.Discard, log)
	cmd.Wait()
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(calls), "SHUT_WR"); n != conns {
		t.Errorf("%d conns took %d calls of shutdown:\n%s", conns, n, calls)
	}
}

// readWhenThere returns the contents of a file that somebody is about to make.
func readWhenThere(t *testing.T, path string) string {
	t.Helper()
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			return string(text)
		}
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatal(err)
		}
	}
}

// relayOnce has one side of a conn send, and finish, first, and the other one
// after it.
func relayOnce(t *testing.T, addr string, upstream net.Listener, clientFirst bool) {
	t.Helper()
	first, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := upstream.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if !clientFirst {
		first, second = second, first
	}
	for i, c := range []net.Conn{first, second} {
		other := []net.Conn{second, first}[i]
		fmt.Fprint(c, "text")
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(other); err != nil || string(got) != "text" {
			t.Errorf("%q, %v", got, err)
		}
	}
}
