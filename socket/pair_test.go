package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"relayd/lifetime"
)

// patience bounds every wait of these tests: nothing may hang.
const patience = 20 * time.Second

// errTest is the cause that tests shut down with.
var errTest = errors.New("the test says so")

// kinds are the addresses that a test of sockets runs over.
func kinds(t *testing.T) map[string]string {
	return map[string]string{
		"tcp4": "127.0.0.1:0",
		"tcp6": "[::1]:0",
		"tls":  tlsKind(t),
		"unix": filepath.Join(t.TempDir(), "s"),
	}
}

// loopKinds are those that are a system's socket and nothing more: a loop can copy
// from and to them.
func loopKinds(t *testing.T) map[string]string {
	list := kinds(t)
	delete(list, "tls")
	return list
}

// eachKind runs f over a fresh connection of each kind.
func eachKind(t *testing.T, f func(t *testing.T, s *Socket, peer netConn)) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, text, lifetime.Refcount)
			f(t, s, peer)
			within(t, s.node.Done(), "the release of "+s.node.Name())
		})
	}
}

func address(t *testing.T, text string) Address {
	t.Helper()
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// connect returns an accepted socket and the connection at its other end.
func connect(t *testing.T, text string, p lifetime.Policy) (*Socket, netConn) {
	t.Helper()
	ctx := t.Context()
	l, err := Listen(ctx, address(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(ctx)
	peer, err := net.Dial(l.Addr().network(), l.Addr().address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	peer.SetDeadline(time.Now().Add(patience))
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.Open(At{Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	if l.tls != nil {
		return s, shaken(t, s, newTLSPeer(peer, nil))
	}
	return s, peer.(netConn)
}

// shaken does the handshake of both ends.
func shaken(t *testing.T, s *Socket, peer tlsPeer) tlsPeer {
	t.Helper()
	far := make(chan error, 1)
	go func() { far <- peer.Handshake() }()
	if _, err := s.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := told(t, far); err != nil {
		t.Fatal(err)
	}
	return peer
}

// halves takes both halves of s.
func halves(t *testing.T, s *Socket) (*ReadHalf, *WriteHalf) {
	t.Helper()
	r, err := s.Receive()
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Send()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// within waits for c, but not for ever.
func within(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
		t.Fatalf("waiting for %s: not within %v", what, patience)
	}
}

// blocked waits until an operation is inside n.
func blocked(t *testing.T, n *lifetime.Node) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		for _, i := range lifetime.Snapshot(n) {
			if i.Operations > 0 {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal("no operation entered " + n.Name())
		}
	}
}

func drop(t *testing.T, drops ...func(context.Context) error) {
	t.Helper()
	for _, d := range drops {
		if err := d(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Socket) dropOnly(ctx context.Context) error {
	_, err := s.Drop(ctx)
	return err
}

func want(t *testing.T, r io.Reader, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != text {
		t.Fatalf("read %q, %v; want %q", buf, err, text)
	}
}

// expired returns a context that has ended.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
