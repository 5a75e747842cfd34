package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"relayd/lifetime"
)

// A connection that a loop has accepted has its preface read on a goroutine, and
// goes back to the loop, which begins with what was given back. The FIN may be
// there already: no event is to come after it.
func TestPrefaceOnALoop(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	for name, test := range map[string]struct {
		before, after []byte // the copy begins
		limit         int
	}{
		"all before the copy":  {before: []byte("preface\nrest")},
		"some before the copy": {before: []byte("preface\nre"), after: []byte("st")},
		"nothing given back":   {before: []byte("preface\n"), after: []byte("rest")},
		"nothing but it":       {before: []byte("preface\n")},
		"more than a buffer":   {before: append([]byte("preface\n"), long...), after: long, limit: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := connectOnLoop(t)
			client.Write(test.before)
			if test.after == nil {
				client.CloseWrite()
			}
			err := s.Preface(t.Context(), test.limit, func(seen []byte) (int, bool, error) {
				return len("preface\n"), len(seen) == len(test.before), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			up, toA := halves(t, s)
			b, far := connect(t, "127.0.0.1:0", lifetime.Refcount)
			down, toB := halves(t, b)
			l := s.t.(*kernelTransport).loop.Load()
			if l == nil {
				l = loops(t, 1).list[0]
			}
			c := copyOn(t, l, toB, up)
			if test.after != nil {
				client.Write(test.after)
				client.CloseWrite()
			}
			want := append(bytes.Clone(test.before[len("preface\n"):]), test.after...)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the far end got something else (%v)", err)
			}
			within(t, c.over, "the end of the copy")
			if c.err != nil || c.In.Load() != int64(len(want)) || c.Out.Load() != int64(len(want)) {
				t.Errorf("counted %d in, %d out, want %d: %v", c.In.Load(), c.Out.Load(), len(want), c.err)
			}
			drop(t, toB.Drop, up.Drop, down.Drop, toA.Drop, s.dropOnly, b.dropOnly)
			if n, err := far.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				t.Errorf("then %d bytes, %v", n, err)
			}
			far.Close()
			within(t, b.node.Done(), "the release of the upstream")
		})
	}
}

// On its way from a loop to a goroutine and back the stream stays what it was, and
// so does its order, when nobody takes what was given back.
func TestPrefaceAndYield(t *testing.T) {
	rest := bytes.Repeat([]byte("the quick brown fox "), 10_000)
	s, client := connectOnLoop(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(append([]byte("preface\n"), rest...))
		client.CloseWrite()
		wrote <- err
	}()
	err := s.Preface(t.Context(), 1<<20, func(seen []byte) (int, bool, error) {
		return len("preface\n"), len(seen) == len(rest)+len("preface\n"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	up, toA := halves(t, s)
	b, err := open(newMemoryTransport(Echo), At{}) // holds less than there is
	if err != nil {
		t.Fatal(err)
	}
	down, toB := halves(t, b)
	ended := make(chan error, 1)
	go func() {
		var m Moved
		_, err := Copy(toB, up, &m)
		ended <- err
	}()
	blocked(t, &toB.node)
	up.Yield()
	if err := <-ended; err != ErrYielded {
		t.Fatalf("the copy ended with %v", err)
	}
	far, farPeer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	farDown, toFar := halves(t, far)
	c := copyOn(t, loops(t, 1).list[0], toFar, up)
	drop(t, toB.Drop)
	got, err := io.ReadAll(down)
	if err != nil {
		t.Fatal(err)
	}
	tail := make([]byte, len(rest)-len(got))
	if _, err := io.ReadFull(farPeer, tail); err != nil || !bytes.Equal(append(got, tail...), rest) {
		t.Errorf("the stream has changed (%v)", err)
	}
	within(t, c.over, "the end of the copy")
	if err := <-wrote; err != nil || c.err != nil {
		t.Errorf("%v, %v", err, c.err)
	}
	farPeer.Close()
	drop(t, up.Drop, toA.Drop, s.dropOnly, down.Drop, b.dropOnly, farDown.Drop, toFar.Drop, far.dropOnly)
	within(t, far.node.Done(), "the release")
}

// A shutdown and a reset end a Preface of a connection that a loop has accepted.
func TestPrefaceOnALoopEnds(t *testing.T) {
	s, _ := connectOnLoop(t)
	ended := goPreface(s, t.Context())
	blocked(t, &s.node)
	if r, err := s.Shutdown(t.Context(), errTest); err != nil || r.Kernel != Gone {
		t.Errorf("the shutdown: %+v, %v", r, err)
	}
	if err := <-ended; !errors.Is(err, lifetime.ErrShutdown) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	s, peer := connectOnLoop(t)
	ended = goPreface(s, t.Context())
	blocked(t, &s.node)
	reset(peer)
	if err := <-ended; !IsReset(err) {
		t.Errorf("ended with %v", err)
	}
	drop(t, s.dropOnly)
}

// A copy on a goroutine begins with what was given back, counts it, and shows it
// to who watches.
func TestPrefaceThenCopy(t *testing.T) {
	r := newPrefaced(t, "127.0.0.1:0", "preface\nrest")
	seen := new(seenBytes)
	r.up.Watch(seen)
	if !r.up.Ready() || !r.up.Wait(-1) {
		t.Error("a half with bytes that were given back is not ready")
	}
	r.client.Write([]byte(", and more"))
	r.client.CloseWrite()
	var m Moved
	if _, err := Copy(r.toB, r.up, &m); err != nil {
		t.Fatal(err)
	}
	drop(t, r.toB.Drop)
	if got, err := io.ReadAll(r.far); string(got) != "rest, and more" || err != nil {
		t.Errorf("the far end got %q, %v", got, err)
	}
	if in, out := m.In.Load(), m.Out.Load(); in != 14 || out != 14 {
		t.Errorf("counted %d in, %d out, want 14", in, out)
	}
	if seen.String() != "rest, and more" {
		t.Errorf("the watcher saw %q", seen)
	}
	r.close(t, r.up.Drop, r.toA.Drop, r.down.Drop)
}

type seenBytes struct{ bytes.Buffer }

func (s *seenBytes) Saw(b []byte) { s.Write(b) }

// newPrefaced is newRelayed after the client has sent text, whose first line was
// read as its preface.
func newPrefaced(t *testing.T, kind, text string) *relayed {
	t.Helper()
	r := &relayed{}
	r.a, r.client = connect(t, kind, lifetime.Refcount)
	r.b, r.far = connect(t, kind, lifetime.Refcount)
	r.client.Write([]byte(text))
	err := r.a.Preface(t.Context(), 0, func(seen []byte) (int, bool, error) {
		return strings.IndexByte(text, '\n') + 1, len(seen) == len(text), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.up, r.toA = halves(t, r.a)
	r.down, r.toB = halves(t, r.b)
	return r
}

// A preface that is there when it is looked for leaves the connection where it is;
// one that is waited for parks it. From both the loop takes it back, to dial for it
// and to copy.
func TestPrefaceThenLoopDial(t *testing.T) {
	for _, early := range []bool{true, false} {
		s, client := connectOnLoop(t)
		var ended <-chan error
		if early {
			client.Write([]byte("preface\nrest"))
			for !s.t.ready() {
			}
			ended = goPreface(s, t.Context())
		} else {
			ended = goPreface(s, t.Context())
			for s.t.(*kernelTransport).parked.Load() == nil {
			}
			client.Write([]byte("preface\nrest"))
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if parked := s.t.(*kernelTransport).parked.Load() != nil; parked == early {
			t.Errorf("there at once: %v; parked: %v", early, parked)
		}
		up, toA := halves(t, s)
		ln, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDialer(ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		l := loops(t, 1).list[0]
		ends := make(dialEnds, 1)
		l.Dial(d, At{}, patience, s, ends)
		dialled := <-ends
		in, err := ln.Accept()
		if err != nil || dialled.err != nil {
			t.Fatal(err, dialled.err)
		}
		far, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		farDown, farUp := halves(t, far)
		down, toB := halves(t, dialled.s)
		c := copyOn(t, l, toB, up)
		client.CloseWrite()
		within(t, c.over, "the end of the copy")
		drop(t, toB.Drop)
		if got, err := io.ReadAll(farDown); string(got) != "rest" || err != nil || c.err != nil {
			t.Errorf("the far end got %q, %v, %v", got, err, c.err)
		}
		drop(t, up.Drop, toA.Drop, s.dropOnly, down.Drop, dialled.s.dropOnly, farDown.Drop, farUp.Drop, far.dropOnly, ln.Drop)
		within(t, far.node.Done(), "the release")
		within(t, dialled.s.node.Done(), "the release")
	}
}
