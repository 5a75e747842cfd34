package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
)

// loops starts event loops that end with the test.
func loops(t *testing.T, n int) *Loops {
	t.Helper()
	ls, err := StartLoops(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ls.Stop()
		ls.Wait()
	})
	return ls
}

// A copyEnd is who waits for a copy on a loop.
type copyEnd struct {
	Moved
	over    chan struct{}
	written bool
	err     error
}

func (c *copyEnd) Copied(written bool, err error) {
	c.written, c.err = written, err
	close(c.over)
}

func (c *copyEnd) Progress() *Moved { return &c.Moved }

// copyOn copies on a loop, and fails the test when the copy cannot begin.
func copyOn(t *testing.T, l *Loop, dst *WriteHalf, src *ReadHalf) *copyEnd {
	t.Helper()
	c := &copyEnd{over: make(chan struct{})}
	if _, err := l.Copy(dst, src, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A relayed is two connections whose halves a loop can copy between.
type relayed struct {
	a, b        *Socket
	client, far netConn
	up, down    *ReadHalf
	toB, toA    *WriteHalf
}

func newRelayed(t *testing.T, kind string) *relayed {
	t.Helper()
	r := &relayed{}
	r.a, r.client = connect(t, kind, lifetime.Refcount)
	r.b, r.far = connect(t, kind, lifetime.Refcount)
	r.up, r.toA = halves(t, r.a)
	r.down, r.toB = halves(t, r.b)
	return r
}

// close closes the far ends, drops what is left, and waits for the release.
func (r *relayed) close(t *testing.T, left ...func(context.Context) error) {
	t.Helper()
	r.client.Close()
	r.far.Close()
	drop(t, append(left, r.a.dropOnly, r.b.dropOnly)...)
	within(t, r.a.Resource().Done(), "release of the client's socket")
	within(t, r.b.Resource().Done(), "release of the upstream's socket")
}

// Bytes and ends go through a loop as they go through the function Copy: the
// destination is whole, the end is nil, and what was counted is what was moved.
func TestLoopCopies(t *testing.T) {
	for name, kind := range loopKinds(t) {
		t.Run(name, func(t *testing.T) {
			r := newRelayed(t, kind)
			l := loops(t, 1).list[0]
			up := copyOn(t, l, r.toB, r.up)
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			go func() {
				r.client.Write(sent)
				r.client.CloseWrite()
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(r.far, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("the far end got something else (%v)", err)
			}
			within(t, up.over, "end of the copy")
			if up.err != nil || up.written {
				t.Errorf("Copied(%v, %v), want the source's clean end", up.written, up.err)
			}
			if in, out := up.In.Load(), up.Out.Load(); in != int64(len(sent)) || out != in {
				t.Errorf("counted %d in, %d out, want %d", in, out, len(sent))
			}
			drop(t, r.toB.Drop)
			if _, err := r.far.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the last byte: %v, want EOF", err)
			}
			r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop)
		})
	}
}

// A copy moves from loop to goroutine and back with its bytes: whatever was read
// and not written is the first that the next copy writes.
func TestYieldKeepsBytes(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	pattern := bytes.Repeat([]byte("the quick brown fox "), 1_600_000) // more than the way holds
	wrote := make(chan error, 1)
	go func() {
		_, err := r.client.Write(pattern)
		r.client.CloseWrite()
		wrote <- err
	}()
	read := make(chan []byte, 1)
	release := make(chan struct{})
	go func() {
		<-release
		b, _ := io.ReadAll(r.far)
		read <- b
	}()
	const moves = 20 // with nobody reading: the source does not end
	moved := new(Moved)
	for i := 0; ; i++ {
		if i == moves {
			close(release)
		}
		onLoop := &copyEnd{over: make(chan struct{})}
		if _, err := l.Copy(r.toB, r.up, onLoop); err != nil {
			t.Fatal(err)
		}
		if i == moves {
			within(t, onLoop.over, "end of the copy")
			if onLoop.err != nil {
				t.Fatal(onLoop.err)
			}
			break
		}
		r.up.Yield()
		within(t, onLoop.over, "yield on the loop")
		if !errors.Is(onLoop.err, ErrYielded) {
			t.Fatal(onLoop.err)
		}
		r.up.Yield()
		if _, err := Copy(r.toB, r.up, moved); !errors.Is(err, ErrYielded) {
			t.Fatalf("on a goroutine: %v, want %v", err, ErrYielded)
		}
	}
	drop(t, r.toB.Drop)
	if got := <-read; !bytes.Equal(got, pattern) {
		t.Errorf("%d bytes arrived, or others, want %d", len(got), len(pattern))
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop)
}

// yieldHolding has r's client write, and copies on l until a copy has let go with bytes
// that it has not written. It returns how many were read, and what is closed when the
// client has nothing more to write.
func (r *relayed) yieldHolding(t *testing.T, l *Loop) (in int64, wrote chan struct{}) {
	t.Helper()
	wrote = make(chan struct{})
	go func() {
		defer close(wrote)
		r.client.Write(make([]byte, 32<<20)) // more than the way holds
	}()
	for out := int64(0); in == out; {
		c := copyOn(t, l, r.toB, r.up)
		r.up.Yield()
		within(t, c.over, "yield on the loop")
		in, out = in+c.In.Load(), out+c.Out.Load()
	}
	return in, wrote
}

// What a copy had read before its half was dropped is written by the next one, as it
// would have been by the same.
func TestYieldAndDropKeepBytes(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	in, wrote := r.yieldHolding(t, l)
	drop(t, r.up.Drop)
	ended := make(chan error)
	go func() {
		_, err := Copy(r.toB, r.up, new(Moved))
		r.toB.Drop(context.Background())
		ended <- err
	}()
	if got, err := io.ReadAll(r.far); int64(len(got)) != in || err != nil {
		t.Errorf("%d bytes arrived of %d that were read, %v", len(got), in, err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the copy ended with %v, want %v", err, net.ErrClosed)
	}
	r.close(t, r.toA.Drop, r.down.Drop)
	<-wrote
}

// So does a copy on a loop whose source is dropped before the loop has come to it.
func TestYieldAndDropOnALoopKeepBytes(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	in, wrote := r.yieldHolding(t, l)
	busy := make(busyVisitor)
	l.post(busy)
	c := copyOn(t, l, r.toB, r.up)
	r.up.Resource().BeginDrop()
	close(busy)
	got := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, r.far)
		got <- n
	}()
	within(t, c.over, "end of the copy")
	if c.written || !errors.Is(c.err, net.ErrClosed) {
		t.Errorf("Copied(%v, %v), want the source's %v", c.written, c.err, net.ErrClosed)
	}
	drop(t, r.toB.Drop)
	if n := <-got; n != in {
		t.Errorf("%d bytes arrived of %d that were read", n, in)
	}
	r.close(t, r.toA.Drop, r.down.Drop)
	<-wrote
}

// A busyVisitor keeps a loop busy until it is closed.
type busyVisitor chan struct{}

func (b busyVisitor) visit(*Loop) { <-b }

// Somebody who moves conns may be late: a half whose socket was closed on a loop
// has nobody to tell.
func TestYieldAfterTheClose(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	up, down := copyOn(t, l, r.toB, r.up), copyOn(t, l, r.toA, r.down)
	r.client.Close()
	r.far.Close()
	within(t, up.over, "end of the copy up")
	within(t, down.over, "end of the copy down")
	r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop, r.toB.Drop)
	r.up.Yield()
	r.down.Yield()
}

// A read half can be dropped while a loop copies to its socket: what the peer
// still sends waits for the socket's own drain, and nothing is reset.
func TestDropBesideALoopsCopy(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	down := copyOn(t, l, r.toA, r.down)
	if _, err := r.far.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	want(t, r.client, "one")
	drop(t, r.up.Drop)
	within(t, r.up.Resource().Done(), "release of the read half")
	if _, err := r.client.Write([]byte("nobody reads this")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.far.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	want(t, r.client, "two")
	r.far.CloseWrite()
	within(t, down.over, "end of the copy")
	drop(t, r.toA.Drop)
	if n, err := r.client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d, %v; want a clean end", n, err)
	}
	r.close(t, r.down.Drop, r.toB.Drop)
}

// A copy on a goroutine hears a Yield at any moment, also at its very beginning,
// when its sockets have just come from a loop and nobody can be woken there yet.
func TestYieldAsACopyBegins(t *testing.T) {
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).list[0]
	for i := range 1_000 {
		onLoop := copyOn(t, l, r.toB, r.up)
		r.up.Yield()
		within(t, onLoop.over, "yield on the loop")
		ended := make(chan error)
		var begun atomic.Bool
		go func() {
			begun.Store(true)
			_, err := Copy(r.toB, r.up, new(Moved))
			ended <- err
		}()
		for !begun.Load() {
			runtime.Gosched()
		}
		for range i % 64 { // another moment each time
			runtime.Gosched()
		}
		r.up.Yield()
		select {
		case err := <-ended:
			if !errors.Is(err, ErrYielded) {
				t.Fatalf("round %d: %v, want %v", i, err, ErrYielded)
			}
		case <-time.After(patience):
			r.a.Resource().Shutdown(context.Background(), nil)
			t.Fatalf("round %d: the copy has not heard, and ended only with %v", i, <-ended)
		}
	}
	r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop, r.toB.Drop)
}
