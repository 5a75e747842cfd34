package tests

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// A conn is what TCP and Unix connections have in common.
type conn interface {
	net.Conn
	CloseWrite() error
}

// A relayd is a server in this process, with its log.
type relayd struct {
	*relay.Server
	log *logbook
}

// startRelay starts a server, on TCP's loopback unless c says where, and drains
// it at the end of the test.
func startRelay(t *testing.T, c relay.Config) *relayd {
	t.Helper()
	log := newLogbook()
	c.Log = slog.New(log)
	if c.Listen == nil && c.Listeners == nil {
		c.Listen = []socket.Address{address(t, "127.0.0.1:0")}
	}
	c.LogRate = cmp.Or(c.LogRate, -1) // tests count lines
	inMode(&c)
	s, err := relay.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drainAtEnd(t, s) })
	return &relayd{s, log}
}

// inMode makes the tests run as the environment says: RELAYD_TEST_LOOP=off on
// goroutines, =moving with conns that move between the two all the time.
func inMode(c *relay.Config) {
	switch os.Getenv("RELAYD_TEST_LOOP") {
	case "off":
		c.EventLoops = -1
	case "moving":
		c.MoveEvery = 10 * time.Millisecond
	}
}

// drainAtEnd ends a server, and cuts what the test has left open.
func drainAtEnd(t *testing.T, s *relay.Server) {
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Second)
	defer stop()
	if r, err := s.Drain(ctx); err != nil {
		t.Errorf("drain: %v: left %v", err, r.Left)
	}
}

func (r *relayd) addr() socket.Address { return r.Addrs()[0] }

func address(t *testing.T, s string) socket.Address {
	t.Helper()
	a, err := socket.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func stages(t *testing.T, s string) transform.Chain {
	t.Helper()
	if s == "" {
		return nil
	}
	c, err := transform.ParseChain(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A family is a sort of sockets to relay between.
type family struct {
	name string
	any  func(t *testing.T) socket.Address // a free address
}

var (
	tcp4 = family{"tcp4", func(t *testing.T) socket.Address { return address(t, "127.0.0.1:0") }}
	tcp6 = family{"tcp6", func(t *testing.T) socket.Address { return address(t, "[::1]:0") }}
	unix = family{"unix", unixAddress}
)

// families returns all families that this machine has. Without IPv6 the tests
// go on without, but not in continuous integration.
func families(t *testing.T) []family {
	t.Helper()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no IPv6 here: ", err)
		}
		t.Log("without IPv6: ", err)
		return []family{tcp4, unix}
	}
	ln.Close()
	return []family{tcp4, tcp6, unix}
}

// unixAddress returns a path in a new directory. It is not of t.TempDir, whose
// names may be longer than a socket's can.
func unixAddress(t *testing.T) socket.Address {
	t.Helper()
	dir, err := os.MkdirTemp("", "relayd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return address(t, "unix://"+filepath.Join(dir, "s"))
}

// network returns an address as package net takes it.
func network(a socket.Address) (network, address string) {
	if a.Abstract {
		return "unix", "@" + a.Path
	}
	if a.Kind == socket.Unix {
		return "unix", a.Path
	}
	return "tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// dial connects to a. What the connection then does is bounded by patience, and
// it is closed at the end of the test.
func dial(t *testing.T, a socket.Address) conn {
	t.Helper()
	n, addr := network(a)
	c, err := net.DialTimeout(n, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(conn)
}

// serve listens at a and calls handle for each connection, which is closed
// afterwards and bounded by patience. It returns the address with its port.
func serve(t *testing.T, a socket.Address, handle func(conn)) socket.Address {
	t.Helper()
	ln, err := net.Listen(network(a))
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, handle)
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		a.Port = uint16(tcp.Port)
	}
	return a
}

// serveOn is serve for a listener that exists, and closes it at the end.
func serveOn(t *testing.T, ln net.Listener, handle func(conn)) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(2 * patience))
				handle(c.(conn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
}

// echo is a handler: it sends back what comes, and ends when that ends.
func echo(c conn) {
	io.Copy(c, plain{c})
	c.CloseWrite()
}

// plain is a reader that hides what it is. Package net would move the bytes of a
// socket by splice(2), and leave the pipes of that to the garbage collector.
type plain struct{ io.Reader }

// relays returns a chain of two relays that leads to a server: the near one,
// which clients talk to, and the far one. Both of its hops are of family f, and
// with a tunnel the bytes between the two are compressed.
func relays(t *testing.T, f family, to socket.Address, tunnel bool) (near, far *relayd) {
	t.Helper()
	wrap, unwrap := "", ""
	if tunnel {
		wrap, unwrap = "gzip", "gunzip"
	}
	far = startRelay(t, relay.Config{
		Listen: []socket.Address{f.any(t)},
		To:     to,
		Up:     stages(t, unwrap),
		Down:   stages(t, wrap),
	})
	near = startRelay(t, relay.Config{
		Listen: []socket.Address{f.any(t)},
		To:     far.addr(),
		Up:     stages(t, wrap),
		Down:   stages(t, unwrap),
	})
	return near, far
}

// bytesOf returns n bytes that are always the same for a seed.
func bytesOf(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// A summer is a checksum with a length.
type summer struct {
	h hash.Hash
	n int64
}

func newSummer() *summer { return &summer{h: sha256.New()} }

// Write adds p.
func (s *summer) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.h.Write(p)
}

func (s *summer) String() string {
	return fmt.Sprintf("%d bytes %x", s.n, s.h.Sum(nil)[:8])
}

// sumOf returns the checksum of all that r has.
func sumOf(t testing.TB, r io.Reader) string {
	sum := newSummer()
	if _, err := io.Copy(sum, r); err != nil {
		t.Errorf("after %v: %v", sum, err)
	}
	return sum.String()
}

// call runs a program between a reader and a writer, and fails the test with
// what it said if it fails.
func call(t *testing.T, stdin io.Reader, stdout io.Writer, path string, args ...string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*patience)
	defer stop()
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
}

// exchange sends a text and reads as many bytes back, which must be the same.
func exchange(t *testing.T, c conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after %d of %d bytes: %v", n, len(got), err)
	}
	if string(got) != text {
		t.Fatalf("got %q back, want %q", got, text)
	}
}

// finish ends our side, and wants the rest and then a clean end of the other.
func finish(t *testing.T, c conn, rest string) {
	t.Helper()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != rest {
		t.Fatalf("at the end got %q, %v; want %q and a clean end", got, err, rest)
	}
	c.Close()
}

// reset closes a connection so that its peer gets a reset.
func reset(t *testing.T, c conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// wantReset reads what is left, which must be n bytes and then a reset.
func wantReset(t *testing.T, c conn, n int64) {
	t.Helper()
	got, err := io.Copy(io.Discard, c)
	if got != n || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes, %v; want %d and a reset", got, err, n)
	}
}

// until asks again and again until ok, for things that nobody announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%v later still not: %s", patience, what)
		}
	}
}
