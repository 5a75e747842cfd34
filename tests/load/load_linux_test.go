package load

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"relayd/tests/leak"
)

var (
	live   = flag.Int("live", 500, "conns at once")
	visits = flag.Int("visits", 10_000, "short conns, one after the other")
	crowd  = flag.Int("crowd", 50, "short conns at once")
	soak   = flag.Duration("soak", 0, "go on with short conns for so long")
)

// So many conns live at once, all of them answer, twice, and when they are gone
// nothing is left of them.
func TestLive(t *testing.T) {
	leak.Check(t)
	enough(t, *live+1000)
	r := start(t, "-l", "127.0.0.1:0", "-t", startUpstream(t, "127.0.0.1:0").addr, "--admin", "none")
	idleRSS, idleFDs := r.rss(), r.fds()
	conns := make([]net.Conn, *live)
	for i := range conns {
		c, err := dial(r.at(0), i)
		if err != nil {
			t.Fatalf("conn %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
	}
	for round := range 2 {
		for i, c := range conns {
			if err := ask(c, uint64(round)<<32|uint64(i)); err != nil {
				t.Fatalf("round %d, conn %d: %v", round, i, err)
			}
		}
	}
	fullRSS, fullFDs := r.rss(), r.fds()
	t.Logf("%d conns: %d descriptors, %.2f a conn; %d kB, %.2f kB a conn", *live, fullFDs,
		float64(fullFDs-idleFDs)/float64(*live), fullRSS>>10, float64(fullRSS-idleRSS)/1024/float64(*live))
	if extra := fullFDs - idleFDs - 2**live; extra > 64 {
		t.Errorf("%d descriptors more than two a conn", extra)
	}
	for _, c := range conns {
		c.Close()
	}
	r.until("the descriptors are back", func() bool { return r.fds() <= idleFDs+64 })
	r.end()
}

// enough raises our own limit of descriptors.
func enough(t *testing.T, n int) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	want := was
	want.Cur, want.Max = max(was.Cur, uint64(n)), max(was.Max, uint64(n))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		t.Fatalf("%d descriptors are needed: %v", n, err)
	}
	t.Cleanup(func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) })
}

// Conns come, ask, are answered and go, and relayd does not grow.
func TestVisits(t *testing.T) {
	leak.Check(t)
	r := start(t, "-l", "127.0.0.1:0", "-t", startUpstream(t, "127.0.0.1:0").addr, "--admin", "none")
	began := time.Now()
	c := &clientele{
		t: t, visit: func(n int64) error { return visit(r.at(0), n) },
		more: func(n int64) bool { return n <= int64(*visits) || time.Since(began) < *soak },
	}
	c.begin()
	ended := make(chan struct{})
	go func() {
		c.running.Wait()
		close(ended)
	}()
	sizes := r.sample(ended)
	t.Logf("%v in %v", c, time.Since(began).Round(time.Second))
	r.flat(sizes)
	r.end()
}

// visit is one short conn, which the client ends.
func visit(to string, n int64) error {
	c, err := dial(to, int(n))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := ask(c, uint64(n)); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at the end: %v", err)
	}
	return nil
}
