package socket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relayd/lifetime/process"
	"relayd/tests/leak"
)

func census(t *testing.T) *Census {
	t.Helper()
	c, err := NewCensus()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantStrays looks twice, and wants so many strays. Nothing must change
// meanwhile.
func wantStrays(t *testing.T, c *Census, n int) []Stray {
	t.Helper()
	var list []Stray
	for range 2 {
		c.mu.Lock()
		var err error
		list, err = c.look()
		c.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(list) != n {
		t.Fatalf("%d strays, want %d: %+v", len(list), n, list)
	}
	return list
}

// All that the package makes is accounted for, parked and loose, and in every
// kind of address.
func TestCensusKnowsTheTree(t *testing.T) {
	leak.Check(t)
	c := census(t)
	ctx := t.Context()
	ls := loops(t, 1)
	for _, text := range []string{"127.0.0.1:0", "[::1]:0", filepath.Join(t.TempDir(), "s")} {
		l, err := Listen(ctx, address(t, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantStrays(t, c, 0)
		parked, err := Dial(ctx, l.Addr(), At{})
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		wantStrays(t, c, 0)
		if err := accepted.t.(*kernelTransport).unpark(); err != nil {
			t.Fatal(err)
		}
		wantStrays(t, c, 0)
		h := make(acceptorOf, 1)
		if on, err := l.AcceptOn(ls, h); !on || err != nil {
			t.Fatal(on, err)
		}
		wantStrays(t, c, 0)
		third, err := Dial(ctx, l.Addr(), At{})
		if err != nil {
			t.Fatal(err)
		}
		loose := <-h
		wantStrays(t, c, 0)
		drop(t, l.Drop)
		for _, s := range []*Socket{parked, accepted, third, loose} {
			s.Shutdown(ctx, errTest)
		}
	}
	program, err := Dial(ctx, address(t, "exec:///bin/cat"), At{})
	if err != nil {
		t.Fatal(err)
	}
	wantStrays(t, c, 0)
	program.Shutdown(ctx, errTest)
}

// An acceptorOf hands the sockets on that a loop accepts.
type acceptorOf chan *Socket

func (a acceptorOf) Accepted(in Incoming) {
	s, err := in.Open(At{})
	if err != nil {
		panic(err)
	}
	a <- s
}
func (acceptorOf) AcceptFailed(error) time.Duration { return time.Second }
func (acceptorOf) AcceptEnded()                     {}

// A connection of package net's that became a socket is known, under TLS, too.
func TestCensusKnowsForeignConns(t *testing.T) {
	leak.Check(t)
	c := census(t)
	ln, peer, conn := tcpPair(t)
	wantStrays(t, c, 3)
	s, err := FromConn(tls.Client(conn, &tls.Config{}), At{})
	if err != nil {
		t.Fatal(err)
	}
	wantStrays(t, c, 2)
	s.Shutdown(t.Context(), errTest)
	peer.Close()
	ln.Close()
	wantStrays(t, c, 0)
}

// A program's input is a socket as well (see process.NewInput), and nobody's
// leak for as long as the program runs. Chaos found it counted as one.
func TestCensusKnowsInputs(t *testing.T) {
	leak.Check(t)
	c := census(t)
	in, theirs, err := process.NewInput()
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(t.Context(), process.Command{Path: "/bin/cat", Stdin: theirs, Input: in}, nil)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	wantStrays(t, c, 0)
	p.Resource().Shutdown(t.Context(), nil)
	wantStrays(t, c, 0)
	if _, err := in.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the process the input is open: %v", err)
	}
}

// tcpPair returns a connection of package net's, and its listener.
func tcpPair(t *testing.T) (ln net.Listener, dialled, accepted net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if dialled, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return ln, dialled, accepted
}

func TestCensusFindsLeaks(t *testing.T) {
	leak.Check(t)
	s, _ := connect(t, "127.0.0.1:0", 0)
	c := census(t) // what is open by now is not looked at
	wantStrays(t, c, 0)

	ln, peer, conn := tcpPair(t)
	list := wantStrays(t, c, 3)
	found := false
	for _, stray := range list {
		found = found || stray.Local == peer.LocalAddr().String() && stray.Remote == peer.RemoteAddr().String()
	}
	if !found {
		t.Errorf("%v has no %v", list, peer.LocalAddr())
	}
	ln.Close()
	peer.Close()
	wantStrays(t, c, 1)
	conn.Close()
	wantStrays(t, c, 0)
	s.Shutdown(t.Context(), errTest)
}

// Once is not enough: a socket may be on its way into the tree.
func TestCensusLooksTwice(t *testing.T) {
	leak.Check(t)
	c := census(t)
	_, peer, _ := tcpPair(t)
	if list, err := c.Strays(); err != nil || len(list) != 0 {
		t.Errorf("at the first look %v, %v", list, err)
	}
	// And so soon after it no other is taken.
	if list, err := c.Strays(); err != nil || len(list) != 0 {
		t.Errorf("at the second %v, %v", list, err)
	}
	c.last = c.last.Add(-lookEvery)
	if list, err := c.Strays(); err != nil || len(list) != 3 {
		t.Errorf("later %v, %v, want 3", list, err)
	}
	peer.Close()
}

// Other kinds of sockets are not the package's.
func TestCensusSeesStreamsOnly(t *testing.T) {
	leak.Check(t)
	c := census(t)
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	wantStrays(t, c, 0)
}

// A dial under way is in no tree yet.
func TestCensusSparesDials(t *testing.T) {
	leak.Check(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
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
	full, err := net.Dial("tcp", to) // fills the backlog
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := census(t)
	waiting, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(waiting)
	wantStrays(t, c, 1)
	if err := unix.Connect(waiting, at); err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	wantStrays(t, c, 0)
}

// A server that accepts, and takes its time for the TLS handshake, makes nobody's
// socket of a dial: it is known until it is over, however it ends.
func TestCensusKnowsDials(t *testing.T) {
	leak.Check(t)
	c := census(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Listener(ln).Close()
	d, err := NewDialer(address(t, "tls://"+ln.Addr().String()+"?verify=insecure"))
	if err != nil {
		t.Fatal(err)
	}
	for name, dial := range map[string]func(context.Context) error{
		"alone": func(ctx context.Context) error { _, err := d.Dial(ctx, At{}); return err },
		"in a race": func(ctx context.Context) error {
			_, _, err := Race(ctx, At{}, d, time.Hour, func() *Dialer { return nil })
			return err
		},
	} {
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- dial(ctx) }()
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(make([]byte, 1)); err != nil { // of the ClientHello
			t.Fatal(err)
		}
		at := c.account(peer)
		wantStrays(t, c, 0)
		stop()
		if err := <-over; err == nil {
			t.Errorf("%s: there is TLS", name)
		}
		c.forget(at)
		peer.Close()
		if len(dials.inodes) != 0 {
			t.Errorf("%s: %d dials are under way, after all", name, len(dials.inodes))
		}
	}
}

// The sockets of other servers are accounted for while they are open.
func TestCensusListener(t *testing.T) {
	leak.Check(t)
	c := census(t)
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := len(c.accounted)
	ln := c.Listener(bare)
	defer ln.Close()
	wantStrays(t, c, 0)
	peer, err := Dial(context.Background(), address(t, ln.Addr().String()), At{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	wantStrays(t, c, 0)
	// It is the connection itself that is behind it.
	if _, ok := conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn); !ok {
		t.Errorf("behind it is a %T", conn)
	}
	conn.Close()
	ln.Close()
	peer.Shutdown(t.Context(), errTest)
	if n := len(c.accounted) - before; n != 0 {
		t.Errorf("%d inodes remembered after it all", n)
	}
}
