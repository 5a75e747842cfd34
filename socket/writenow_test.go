package socket

import (
	"errors"
	"io"
	"net"
	"testing"

	"relayd/lifetime"
)

// A few bytes are there at once; more than there is room for fails, and then the
// connection is no good.
func TestWriteNow(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		w, err := s.Send()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteNow([]byte("hello")); err != nil {
			t.Error(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != "hello" {
			t.Errorf("got %q, %v", got, err)
		}
		if err := w.WriteNow(make([]byte, 64<<20)); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("64 MiB: %v", err)
		}
		w.Resource().BeginDrop()
		s.Resource().BeginDrop()
		if err := w.WriteNow([]byte("x")); !errors.Is(err, lifetime.ErrDropped) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the drop: %v", err)
		}
		peer.Close()
	})
}

// A socket of memory takes it as any write.
func TestWriteNowOfMemory(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	w, _ := s.Send()
	r, _ := s.Receive()
	if err := w.WriteNow([]byte("hello")); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	w.Resource().BeginDrop()
	r.Resource().BeginDrop()
	s.Resource().BeginDrop()
	<-s.Resource().Done()
}
