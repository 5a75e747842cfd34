package socket

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// stale leaves a socket file that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
}

func listenAt(t *testing.T, text string) (*Listener, error) {
	t.Helper()
	l, err := Listen(t.Context(), address(t, text), nil)
	if err == nil {
		t.Cleanup(func() { l.Resource().BeginDrop() })
	}
	return l, err
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	l, err := listenAt(t, "unix://"+path+"?mode=0640")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v; want mode 0640", info.Mode(), err)
	}
	drop(t, l.Drop)
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(left) > 0 {
		t.Errorf("after the drop there is %q", left)
	}
}

func TestLiveSocketIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := listenAt(t, path); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, path); !errors.Is(err, errLive) {
		t.Errorf("a second listener: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first listener is not reached any more: %v", err)
	} else {
		c.Close()
	}
}

func TestNothingButSocketsIsReplaced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "target")
	stale(t, target)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := listenAt(t, path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
			t.Errorf("listening at %s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := listenAt(t, filepath.Join(dir, "missing", "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// A successor's file at the same path is not removed for our own.
func TestSuccessorIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listenAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	if _, err := listenAt(t, path); err != nil {
		t.Fatal(err)
	}
	drop(t, first.Drop)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the successor's socket: %v", err)
	}
}

// Of many that start at once over a stale file, one gets it and stays reachable.
// One round passes without a lock, too: only many show that there is one.
func TestStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		startAtOnce(t, filepath.Join(dir, fmt.Sprint(i)))
	}
}

func startAtOnce(t *testing.T, path string) {
	t.Helper()
	stale(t, path)
	var mu sync.Mutex
	var won []*Listener
	var starts sync.WaitGroup
	for range 20 {
		starts.Go(func() {
			l, err := Listen(t.Context(), address(t, path), nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, l)
			} else if !errors.Is(err, errLive) {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if len(won) != 1 {
		t.Errorf("%d listeners have the path", len(won))
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	for _, l := range won {
		drop(t, l.Drop)
	}
}

// One starts while another ends: it gets the path or is told that it is taken,
// and if it got the path, the other's end leaves its file alone.
func TestStartWhileAnotherEnds(t *testing.T) {
	dir := t.TempDir()
	for i := range 2000 {
		path := filepath.Join(dir, fmt.Sprint(i))
		old, err := Listen(t.Context(), address(t, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		var next *Listener
		var both sync.WaitGroup
		both.Go(func() { old.Drop(t.Context()) })
		both.Go(func() { next, err = Listen(t.Context(), address(t, path), nil) })
		both.Wait()
		if errors.Is(err, errLive) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, err := net.Dial("unix", path); err != nil {
			t.Fatalf("round %d: the one that started is not reached: %v", i, err)
		} else {
			c.Close()
		}
		drop(t, next.Drop)
	}
}

// childPath tells this test binary to be a process that listens there.
const childPath = "RELAYD_TEST_LISTEN"

// What holds between goroutines holds between processes.
func TestProcessesStartAtOnce(t *testing.T) {
	if path := os.Getenv(childPath); path != "" {
		listenUntilEOF(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	const n = 4
	var words [n]string
	var answered, ended sync.WaitGroup
	hold := make(chan struct{})
	for i := range n {
		answered.Add(1)
		ended.Go(func() { words[i] = runChild(t, path, answered.Done, hold) })
	}
	answered.Wait()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	close(hold)
	ended.Wait()
	won := 0
	for _, word := range words {
		switch word {
		case "listening":
			won++
		case "live":
		default:
			t.Errorf("a process said %q", word)
		}
	}
	if won != 1 {
		t.Errorf("%d processes have the path: %q", won, words)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("after them there is %q", left)
	}
}

// runChild runs a process that listens at path, calls answered when it said how
// that went, and ends it when hold is closed.
func runChild(t *testing.T, path string, answered func(), hold <-chan struct{}) string {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesStartAtOnce$")
	cmd.Env = append(os.Environ(), childPath+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		answered()
		return err.Error()
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		in.Close()
		answered()
		return err.Error()
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	answered()
	<-hold
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(line)
}

// listenUntilEOF is the process of runChild.
func listenUntilEOF(t *testing.T, path string) {
	l, err := Listen(t.Context(), address(t, path), nil)
	switch {
	case errors.Is(err, errLive):
		fmt.Println("live")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("listening")
		defer drop(t, l.Drop)
	}
	io.Copy(io.Discard, os.Stdin)
}

// Sockets that are alive without taking our connection are not replaced.
func TestBusySocketIsRefused(t *testing.T) {
	dir := t.TempDir()
	busy := map[string]int{"datagrams": unix.SOCK_DGRAM}
	if runtime.GOOS == "linux" { // elsewhere a full backlog refuses, as a dead socket does
		busy["backlog"] = unix.SOCK_STREAM
	}
	for name, kind := range busy {
		path := filepath.Join(dir, name)
		fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if kind == unix.SOCK_STREAM {
			if err := unix.Listen(fd, 0); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("unix", path) // a backlog of 0 holds one
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if _, err := listenAt(t, path); !errors.Is(err, errLive) {
			t.Errorf("%s: %v; want %v", name, err, errLive)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// A lock file that was removed while we waited for it locks nothing any more.
func TestLockOfRemovedFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s.lock")
	open := func() *os.File {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	f := open()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if tryLock(f) {
		t.Error("locked, and the file is gone")
	}
	successor := open()
	if tryLock(f) {
		t.Error("locked, and the file is another one's")
	}
	if !tryLock(successor) {
		t.Error("a lock that is free is not to be had")
	}
	if tryLock(open()) {
		t.Error("locked twice")
	}
}
