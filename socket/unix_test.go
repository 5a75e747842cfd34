package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
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
func TestStartsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	var mu sync.Mutex
	won := 0
	var starts sync.WaitGroup
	for range 20 {
		starts.Go(func() {
			_, err := listenAt(t, path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, errLive) {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if won != 1 {
		t.Errorf("%d listeners have the path", won)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}
