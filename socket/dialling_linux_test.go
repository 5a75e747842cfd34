package socket

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// deaf returns a dialer for an address where no connection comes to stand: a
// listener's whose backlog is full.
func deaf(t *testing.T) *Dialer {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := "127.0.0.1:" + strconv.Itoa(at.(*unix.SockaddrInet4).Port)
	full, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	return dialerOf(t, to)
}

func dialerOf(t *testing.T, to string) *Dialer {
	t.Helper()
	d, err := NewDialer(address(t, to))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The end of a dial leaves those that began after it their deadlines.
func TestDialsEndApart(t *testing.T) {
	leak.Check(t)
	ls := loops(t, 1)
	l, d := ls.list[0], deaf(t)
	first, second := make(dialEnds, 1), make(dialEnds, 1)
	g := l.Dial(d, At{}, patience, nil, first)
	h := l.Dial(d, At{}, 100*time.Millisecond, nil, second)
	if err := ls.Ping(t.Context()); err != nil { // both have begun
		t.Fatal(err)
	}
	g.Cancel()
	if e := <-first; !errors.Is(e.err, net.ErrClosed) {
		t.Errorf("canceled: %v", e.err)
	}
	time.AfterFunc(patience, h.Cancel)
	if e := <-second; !errors.Is(e.err, syscall.ETIMEDOUT) {
		t.Errorf("its time was up, and it ends with: %v", e.err)
	}
}

// still returns a loop that does not run, which a test turns by hand.
func still(t *testing.T) *Loop {
	t.Helper()
	l := &Loop{}
	l.calls = kernel{}
	if err := l.poller.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.poller.close)
	return l
}

// inUse returns how many slots lead somewhere.
func (s *slots) inUse() (n int) {
	for i := range s.used {
		if s.at(i).t != nil {
			n++
		}
	}
	return n
}

// A dial that cannot be registered gives no slot back that it does not have: the
// next connection would get it, and it is the one whose events mean nothing.
func TestDialWithoutRoomToWatch(t *testing.T) {
	leak.Check(t)
	l := still(t)
	open := l.poller.epoll
	l.poller.epoll = -1 // as at the limit of epoll(7), max_user_watches
	ends := make(dialEnds, 1)
	l.Dial(deaf(t), At{}, patience, nil, ends)
	l.readInbox()
	l.poller.epoll = open
	if e := <-ends; !errors.Is(e.err, syscall.EBADF) {
		t.Errorf("the dial ends with %v", e.err)
	}
	for range 2 {
		if n := l.slots.assign(&kernelTransport{}); n == 0 {
			t.Error("the slot 0 was given out")
		}
	}
}

// A connection that stands when nobody wants it any more takes no slot with it.
func TestDialedForNobody(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := dialerOf(t, ln.Addr().String())
	gone, _ := connect(t, "127.0.0.1:0", lifetime.Refcount)
	gone.node.BeginShutdown(nil)
	within(t, gone.node.Done(), "the end of the parent")
	for name, parent := range map[string]*lifetime.Node{"its parent has gone": &gone.node, "it is dropped": nil} {
		t.Run(name, func(t *testing.T) {
			l := still(t)
			of, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
			defer peer.Close()
			ends := make(dialEnds, 1)
			l.Dial(d, At{Parent: parent}, patience, of, ends)
			var e dialEnd
			for turning := true; turning; {
				l.readInbox()
				l.poll()
				select {
				case e = <-ends:
					turning = false
				default:
				}
			}
			sockets := []*Socket{of}
			if (e.err == nil) != (parent == nil) {
				t.Fatalf("the dial ends with %v", e.err)
			}
			if e.s != nil {
				sockets = append(sockets, e.s)
			}
			for _, s := range sockets {
				s.node.BeginShutdown(nil)
				within(t, s.node.Done(), "the release")
			}
			l.readInbox()
			if n := l.slots.inUse(); n > 0 {
				t.Errorf("%d slots lead to what is closed", n)
			}
		})
	}
}

// A copy that cannot begin leaves its source as it was: who reads it next can.
func TestCopyRefusedLeavesSource(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	ls := loops(t, 2)
	other := copyOn(t, ls.list[1], r.toB, r.down) // an echo
	if err := ls.Ping(t.Context()); err != nil {  // it has begun
		t.Fatal(err)
	}
	up := copyOn(t, ls.list[0], r.toB, r.up)
	within(t, up.over, "end of the copy to what another loop has")
	if !errors.Is(up.err, errServed) || !up.written {
		t.Errorf("Copied(%v, %v)", up.written, up.err)
	}
	r.client.Write([]byte("hello"))
	b := make([]byte, 5)
	if n, err := r.up.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
	r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop, r.toB.Drop)
	within(t, other.over, "end of the other copy")
}

// Options that could wait are set on no descriptor that is just being closed.
func TestLateOptionsBesideAClose(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := dialerOf(t, ln.Addr().String())
	l := still(t)
	ends := make(dialEnds, 1)
	l.Dial(d, At{}, patience, nil, ends)
	for len(ends) == 0 {
		l.readInbox()
		l.poll()
	}
	e := <-ends
	if e.err != nil {
		t.Fatal(e.err)
	}
	set := make(chan struct{})
	go func() {
		l.late = past
		l.setLate()
		close(set)
	}()
	e.s.node.BeginShutdown(nil)
	<-set
	within(t, e.s.node.Done(), "the release")
}

// Who has left the loop that accepted it is not counted there any more.
func TestParkedIsNotOnLoop(t *testing.T) {
	s, peer := connectOnLoop(t)
	r, w := halves(t, s)
	on := s.k.loop.Load()
	peer.Write([]byte("hello"))
	want(t, r, "hello")
	if s.OnLoop() {
		t.Error("a goroutine reads it, and it is on a loop")
	}
	if n := on.conns.Load(); n != 0 {
		t.Errorf("its loop counts %d connections", n)
	}
	drop(t, s.dropOnly, r.Drop, w.Drop)
}

// A wait is no longer than epoll_wait(2) takes, which has 32 bits for it.
func TestTimeoutFits(t *testing.T) {
	for _, d := range []time.Duration{30 * 24 * time.Hour, 60 * 24 * time.Hour, 1<<63 - 1} {
		if ms := timeout(time.Now().Add(d), -1); ms <= 0 || int(int32(ms)) != ms {
			t.Errorf("%v are %d ms", d, ms)
		}
	}
}

// A loop that is stopped has been woken when it ends: it closes what it is woken by,
// and the number may be somebody else's at once. Before, one in some 80,000 that were
// busy when they were stopped had its wake-up written elsewhere.
func TestStopWakesBeforeTheEnd(t *testing.T) {
	leak.Check(t)
	l := still(t)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	size, err := unix.FcntlInt(uintptr(p[1]), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(p[1], make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	event := l.poller.event
	l.poller.event = p[1] // full: a write of it waits
	var read atomic.Bool
	time.AfterFunc(100*time.Millisecond, func() {
		read.Store(true)
		unix.Read(p[0], make([]byte, size))
	})
	stopped := make(chan struct{})
	go func() {
		l.stop()
		close(stopped)
	}()
	for l.readInbox() {
		runtime.Gosched()
	}
	if !read.Load() {
		t.Error("the loop ends, and the one who stops it still writes")
	}
	<-stopped
	l.poller.event = event
}
