package relay

import (
	"errors"
	"io"
	"net"
	"testing"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/tests/leak"
)

// Opened runs between listening and accepting: a client that is there already
// is not served before, and not at all if it fails.
func TestOpened(t *testing.T) {
	leak.Check(t)
	at := reserve(t)
	var early net.Conn
	s, err := Start(t.Context(), Config{
		Listen: []socket.Address{address(t, at)},
		To:     address(t, "echo:"),
		Opened: func() (err error) {
			early, err = net.Dial("tcp", at) // into the backlog
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if n := s.Live(); n > 1 {
		t.Errorf("%d conns", n)
	}
	io.WriteString(early, "hello")
	early.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(early); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}

	refuse := errors.New("no")
	s, err = Start(t.Context(), Config{
		Listen: []socket.Address{address(t, "127.0.0.1:0")},
		To:     address(t, "echo:"),
		Opened: func() error { return refuse },
	})
	if s != nil || err != refuse {
		t.Errorf("Start: %v, %v", s, err)
	}
	if list := lifetime.Snapshot(nil); len(list) > 0 {
		t.Errorf("it has left %v", list)
	}
}

// reserve returns an address that was free a moment ago.
func reserve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
