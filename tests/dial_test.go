package tests

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// An upstream that cannot be reached is its clients' trouble and nobody else's.

// closedPort returns an address that nobody listens at.
func closedPort(t *testing.T) socket.Address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := address(t, ln.Addr().String())
	ln.Close()
	return a
}

// A hole is a listener that neither accepts nor refuses: its backlog has room
// for one connection, which is taken.
type hole struct {
	file *os.File
	addr socket.Address
	full []net.Conn
}

func newHole(t *testing.T) *hole {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	h := &hole{os.NewFile(uintptr(fd), "hole"), address(t, "127.0.0.1:0"), nil}
	t.Cleanup(h.close)
	loopback := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(fd, loopback), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	h.addr.Port = uint16(name.(*syscall.SockaddrInet4).Port)
	for {
		n, addr := network(h.addr)
		c, err := net.DialTimeout(n, addr, 100*time.Millisecond)
		if err != nil {
			return h
		}
		h.full = append(h.full, c)
	}
}

func (h *hole) close() {
	for _, c := range h.full {
		c.Close()
	}
	h.file.Close()
}

// open makes an ordinary server of the hole: who waits gets through at the next
// try of the kernel's, a second after the first.
func (h *hole) open(t *testing.T, handle func(conn)) {
	t.Helper()
	ln, err := net.FileListener(h.file)
	if err != nil {
		t.Fatal(err)
	}
	h.close()
	serveOn(t, ln, handle)
}

// wantRefusal connects to a, which must reset the connection at once. A fast
// reset is met by the connecting itself.
func wantRefusal(t *testing.T, a socket.Address) {
	t.Helper()
	n, addr := network(a)
	c, err := net.DialTimeout(n, addr, patience)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestUnreachableUpstream(t *testing.T) {
	nowhere := unixAddress(t)
	for _, to := range []socket.Address{closedPort(t), nowhere} {
		t.Run(to.Kind.String(), func(t *testing.T) {
			leak.Check(t)
			r := startRelay(t, relay.Config{To: to})
			for range 3 {
				wantRefusal(t, r.addr())
			}
			if got := r.log.ends(t, 3); got["dial-failed upstream"] != 3 {
				t.Errorf("ends: %v", got)
			}
			end := r.log.wait(t, "conn ended", 1)[0]
			err, _ := end.attrs["err"].Any().(error)
			var failed *socket.Error
			if !errors.As(err, &failed) || failed.Op != "dial" || failed.Remote != to.String() {
				t.Errorf("err is %v: it should say what was dialled: %v", err, to)
			}
		})
	}
}

// A Unix client is told by an end: there are no resets.
func TestUnreachableUpstreamOfUnixClient(t *testing.T) {
	leak.Check(t)
	r := startRelay(t, relay.Config{Listen: []socket.Address{unixAddress(t)}, To: closedPort(t)})
	if got, err := io.ReadAll(dial(t, r.addr())); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v; want an end", got, err)
	}
	if got := r.log.ends(t, 1); got["dial-failed upstream"] != 1 {
		t.Errorf("ends: %v", got)
	}
}

// No conn waits for another's dialling: all are accepted while none gets
// through, and all time out.
func TestDialTimeout(t *testing.T) {
	const n = 20
	leak.Check(t)
	r := startRelay(t, relay.Config{To: newHole(t).addr, Timeouts: relay.Timeouts{Connect: 300 * time.Millisecond}})
	conns := make([]conn, n)
	for i := range conns {
		conns[i] = dial(t, r.addr())
	}
	r.log.wait(t, "conn accepted", n)
	for _, c := range conns {
		wantReset(t, c, 0)
	}
	if got := r.log.ends(t, n); got["dial-timeout upstream"] != n {
		t.Errorf("ends: %v", got)
	}
	for _, end := range r.log.wait(t, "conn ended", n) {
		if d := end.attrs["duration"].Duration(); d < 300*time.Millisecond || d > patience/2 {
			t.Errorf("a conn ended %v after it began, want 300ms or some more", d)
		}
	}
}

// A server that is shut down does not wait for the dials that are under way.
func TestShutdownWhileDialling(t *testing.T) {
	const n = 20
	leak.Check(t)
	r := startRelay(t, relay.Config{To: newHole(t).addr, Timeouts: relay.Timeouts{Connect: -1}})
	conns := make([]conn, n)
	for i := range conns {
		conns[i] = dial(t, r.addr())
	}
	r.log.wait(t, "conn accepted", n)
	now, stop := context.WithCancel(t.Context())
	stop()
	if res, err := r.Drain(now); err != nil || res.Cut != n {
		t.Errorf("drain: %+v, %v; want %d cut", res, err, n)
	}
	for _, c := range conns {
		wantReset(t, c, 0)
	}
	if got := r.log.ends(t, n); got["drained us"] != n {
		t.Errorf("ends: %v", got)
	}
}

// What the client has sent, and its end, wait for the dial.
func TestClientEndsWhileDialling(t *testing.T) {
	leak.Check(t)
	h := newHole(t)
	r := startRelay(t, relay.Config{To: h.addr})
	c := dial(t, r.addr())
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.log.wait(t, "conn accepted", 1)
	h.open(t, answerAfterEOF(0))
	got, err := io.ReadAll(c)
	if want := sumOf(t, strings.NewReader("hello")) + "\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q and an end", got, err, want)
	}
	if got := r.log.ends(t, 1); got["eof client"] != 1 {
		t.Errorf("ends: %v", got)
	}
}
