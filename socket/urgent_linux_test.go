package socket

import (
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// urgently sends a byte as urgent data.
func urgently(t *testing.T, c net.Conn, b byte) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		cerr := raw.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), []byte{b}, unix.MSG_OOB, nil)
			return err != unix.EAGAIN
		})
		if err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Urgent data stay in the stream, and end nothing: what is behind them arrives,
// however much was before, on a loop and on a goroutine.
func TestUrgentDataPass(t *testing.T) {
	for name, size := range map[string]int{"few": 3, "bulk": 8 << 20} {
		for _, loop := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " on a loop"}[loop], func(t *testing.T) {
				r := newRelayed(t, "127.0.0.1:0")
				before := bytes.Repeat([]byte("-"), size)
				got := make(chan []byte, 1)
				go func() {
					b, _ := io.ReadAll(r.far)
					got <- b
				}()
				up := &copyEnd{over: make(chan struct{})}
				if loop {
					up = copyOn(t, loops(t, 1).list[0], r.toB, r.up)
				} else {
					go func() { up.Copied(Copy(r.toB, r.up, &up.Moved)) }()
				}
				r.client.Write(before)
				urgently(t, r.client.(net.Conn), '!')
				r.client.Write([]byte("after"))
				r.client.CloseWrite()
				within(t, up.over, "end of the copy")
				drop(t, r.toB.Drop)
				if b := <-got; !bytes.Equal(b, append(before, "!after"...)) || up.err != nil {
					t.Errorf("%d bytes arrived of %d, %v", len(b), size+6, up.err)
				}
				r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop)
			})
		}
	}
}

// A read that urgent data have cut short has not emptied the queue.
func TestUrgentDataAreNoLastBytes(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	r.client.Write([]byte("before"))
	urgently(t, r.client.(net.Conn), '!')
	r.client.Write([]byte("after"))
	for kernelOf(r.a.t).ask(unreadOf) < len("before!after") {
	}
	up := copyOn(t, loops(t, 1).list[0], r.toB, r.up)
	got := make(chan struct{})
	go func() {
		defer close(got)
		want(t, r.far, "before!after")
	}()
	within(t, got, "what is behind the urgent byte")
	r.client.CloseWrite()
	within(t, up.over, "end of the copy")
	r.close(t, r.toB.Drop, r.up.Drop, r.toA.Drop, r.down.Drop)
}
