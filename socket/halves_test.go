package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"relayd/lifetime"
)

// operations waits until n operations are inside a half.
func operations(t *testing.T, of *lifetime.Node, n int) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		for _, i := range lifetime.Snapshot(of) {
			if i.Operations >= n {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no %d operations are inside %s", n, of.Name())
		}
	}
}

// blockedRead begins a Read, and returns where its error comes when it is woken.
func blockedRead(t *testing.T, r *ReadHalf) <-chan error {
	t.Helper()
	read := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		read <- err
	}()
	blocked(t, r.Resource())
	return read
}

// told waits for the error of an operation, but not for ever.
func told(t *testing.T, c <-chan error) error {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-c:
		return err
	case <-timer.C:
		t.Fatalf("an operation was not woken within %v", patience)
		return nil
	}
}

// Both halves are handed out once.
func TestSendOnce(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	for range 2 {
		if again, err := s.Send(); again != nil || !errors.Is(err, lifetime.ErrTaken) || errors.Is(err, net.ErrClosed) {
			t.Errorf("Send again: %v, %v", again, err)
		}
	}
	drop(t, w.Drop)
	if _, err := s.Send(); !errors.Is(err, lifetime.ErrTaken) {
		t.Errorf("Send after the half's drop: %v", err)
	}
	drop(t, r.Drop, s.dropOnly)
}

// A writingHalf is a socket to write to, and what comes out at its other end.
type writingHalf struct {
	s    *Socket
	w    *WriteHalf
	out  io.Reader
	rest []func()
}

// Of two Writes at once, on any kind of socket, the second waits for the first:
// what they write does not mix, also when both are far larger than what the
// system, or an echo, takes at once.
func TestWritesQueue(t *testing.T) {
	const size = 8 << 20
	writings := map[string]func(t *testing.T) writingHalf{
		"echo": func(t *testing.T) writingHalf {
			s, err := Dial(t.Context(), address(t, "echo:"), At{})
			if err != nil {
				t.Fatal(err)
			}
			r, w := halves(t, s)
			return writingHalf{s, w, r, []func(){func() { drop(t, r.Drop) }}}
		},
		"exec": func(t *testing.T) writingHalf {
			s, err := Dial(t.Context(), address(t, "exec:///bin/cat"), At{})
			if err != nil {
				t.Fatal(err)
			}
			r, w := halves(t, s)
			return writingHalf{s, w, r, []func(){func() { drop(t, r.Drop) }}}
		},
		"stdio": func(t *testing.T) writingHalf {
			s, in, out := stdioPipes(t)
			r, w := halves(t, s)
			return writingHalf{s, w, out, []func(){func() { in.Close(); drop(t, r.Drop) }}}
		},
	}
	for name, text := range kinds(t) {
		writings[name] = func(t *testing.T) writingHalf {
			s, peer := connect(t, text, lifetime.Refcount)
			r, w := halves(t, s)
			return writingHalf{s, w, peer, []func(){func() { peer.Close(); drop(t, r.Drop) }}}
		}
	}
	for name, prepare := range writings {
		t.Run(name, func(t *testing.T) {
			x := prepare(t)
			var writes sync.WaitGroup
			for i, b := range []byte("ab") {
				writes.Go(func() {
					if n, err := x.w.Write(bytes.Repeat([]byte{b}, size)); n != size || err != nil {
						t.Errorf("Write %c: %d, %v", b, n, err)
					}
				})
				operations(t, x.w.Resource(), i+1)
			}
			got := make([]byte, 2*size)
			if n, err := io.ReadFull(x.out, got); err != nil {
				t.Fatalf("read %d: %v", n, err)
			}
			writes.Wait()
			runs := 1
			for i := range got[1:] {
				if got[i] != got[i+1] {
					runs++
				}
			}
			if runs != 2 || got[0] == got[2*size-1] {
				t.Errorf("the two are mixed: %d runs of one or the other", runs)
			}
			for _, end := range x.rest {
				end()
			}
			drop(t, x.w.Drop, x.s.dropOnly)
			within(t, x.s.node.Done(), "the release")
		})
	}
}

// Abort on a kind without a reset: the peer sees an end, and our side says what
// it was.
func TestAbortOfUnix(t *testing.T) {
	s, peer := connect(t, kinds(t)["unix"], lifetime.Refcount)
	r, w := halves(t, s)
	w.Write([]byte("half of it"))
	read := blockedRead(t, r)
	w.Abort()
	if err := told(t, read); !errors.Is(err, errAborted) || err == io.EOF || IsReset(err) {
		t.Errorf("the blocked Read: %v", err)
	}
	want(t, peer, "half of it")
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the peer saw %d, %v; want its end", n, err)
	}
	if n, err := peer.Write([]byte("x")); err == nil {
		t.Errorf("the peer wrote %d to a socket that is shut in both directions", n)
	}
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if s.node.End() != lifetime.Failed || !errors.Is(s.node.Err(), errAborted) {
		t.Errorf("the socket's end is %v, %v", s.node.End(), s.node.Err())
	}
}

// Our own abort looks like a reset from below. Whoever reads meanwhile is told
// what it was, and not that the peer has reset.
func TestOwnAbortIsNoReset(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	r, w := halves(t, s)
	read := blockedRead(t, r)
	w.Abort()
	for _, err := range []error{told(t, read), r.Resource().Err(), s.node.Err()} {
		if !errors.Is(err, errAborted) || !errors.Is(err, net.ErrClosed) || IsReset(err) {
			t.Errorf("%v; want the abort", err)
		}
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errAborted) || IsReset(err) {
		t.Errorf("Read after the abort: %v", err)
	}
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	peer.Close()
}
