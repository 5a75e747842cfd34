package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"relayd/lifetime"
)

// A lineEnd parses a preface that is a line. It says on the channel, if there is
// one, how much it has seen.
func lineEnd(saw chan<- int) func([]byte) (int, bool, error) {
	return func(seen []byte) (int, bool, error) {
		if saw != nil {
			saw <- len(seen)
		}
		n := bytes.IndexByte(seen, '\n') + 1
		return n, n > 0, nil
	}
}

// However a stream is cut into what arrives at once, two lines are read as its
// prefaces, and whoever reads on has the rest, whole.
func TestPrefaceSplits(t *testing.T) {
	const stream = "one\ntwo lines\nand what belongs to the stream"
	readers := map[string]func(r *ReadHalf) ([]byte, error){
		"read":    func(r *ReadHalf) ([]byte, error) { return io.ReadAll(r) },
		"oneByte": func(r *ReadHalf) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(r)) },
		"staged": func(r *ReadHalf) (all []byte, err error) {
			s := r.Stage()
			defer s.End()
			for b := make([]byte, 5); err == nil; {
				var n int
				n, _, err = s.ReadOn(b)
				all = append(all, b[:n]...)
			}
			if err == io.EOF {
				err = nil
			}
			return all, err
		},
	}
	for kind, text := range kinds(t) {
		for at := range len(stream) {
			for name, read := range readers {
				s, peer := connect(t, text, lifetime.Refcount)
				// The second part is sent when the first was seen, or is past
				// the prefaces.
				saw := make(chan int, 2*len(stream))
				saw <- 0
				go func() {
					peer.Write([]byte(stream[:at]))
					for n := range saw {
						if n >= at {
							break
						}
					}
					peer.Write([]byte(stream[at:]))
					peer.CloseWrite()
				}()
				before := 0
				for _, line := range []string{"one\n", "two lines\n"} {
					err := s.Preface(t.Context(), 0, func(seen []byte) (int, bool, error) {
						saw <- before + len(seen)
						n := bytes.IndexByte(seen, '\n') + 1
						if got := string(seen[:n]); n > 0 && got != line {
							t.Errorf("%s, cut at %d: the preface %q, want %q", kind, at, got, line)
						}
						return n, n > 0, nil
					})
					if err != nil {
						t.Fatal(err)
					}
					before += len(line)
				}
				close(saw)
				r, w := halves(t, s)
				if rest, err := read(r); string(rest) != "and what belongs to the stream" || err != nil {
					t.Fatalf("%s, cut at %d, %s: then %q, %v", kind, at, name, rest, err)
				}
				peer.Close()
				drop(t, r.Drop, w.Drop, s.dropOnly)
				within(t, s.node.Done(), "the release")
			}
		}
	}
}

// The bytes may come one by one, too; and parse sees each as it comes.
func TestPrefaceByteByByte(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		const line = "a line of some length\n"
		saw := make(chan int)
		ended := make(chan error, 1)
		go func() { ended <- s.Preface(t.Context(), len(line), lineEnd(saw)) }()
		for i := range len(line) {
			peer.Write([]byte(line[i : i+1]))
			if n := <-saw; n != i+1 {
				t.Fatalf("after byte %d it has seen %d", i+1, n)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		peer.Close()
		drop(t, s.dropOnly)
	})
}

// What ends a Preface, and what it leaves behind: all that it has read.
func TestPrefaceEnds(t *testing.T) {
	errBad := errors.New("not a line")
	for name, test := range map[string]struct {
		send  string
		fin   bool
		limit int
		parse func([]byte) (int, bool, error)
		want  error
		left  string
	}{
		"FIN at once":       {"", true, 0, lineEnd(nil), io.EOF, ""},
		"FIN in it":         {"abc", true, 0, lineEnd(nil), io.ErrUnexpectedEOF, "abc"},
		"FIN after it":      {"abc\n", true, 0, lineEnd(nil), nil, ""},
		"too long":          {"abcdefgh", true, 5, lineEnd(nil), ErrPrefaceTooLong, "abcdefgh"},
		"just long enough":  {"abcd\nfgh", true, 5, lineEnd(nil), nil, "fgh"},
		"an error":          {"abc", true, 0, func([]byte) (int, bool, error) { return 0, false, errBad }, errBad, "abc"},
		"an error in it":    {"abc", true, 0, func([]byte) (int, bool, error) { return 1, false, errBad }, errBad, "bc"},
		"none of its own":   {"abc", true, 0, func([]byte) (int, bool, error) { return 0, true, nil }, nil, "abc"},
		"longer than first": {strings.Repeat("x", 9000) + "\ny", true, 0, lineEnd(nil), nil, "y"},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
				peer.Write([]byte(test.send))
				peer.CloseWrite()
				err := s.Preface(t.Context(), test.limit, test.parse)
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("ended with %v, want %v", err, test.want)
				}
				r, w := halves(t, s)
				if left, err := io.ReadAll(r); string(left) != test.left || err != nil {
					t.Errorf("then %q, %v, want %q", left, err, test.left)
				}
				peer.Close()
				drop(t, r.Drop, w.Drop, s.dropOnly)
			})
		})
	}
}

// Preface is there until the read half is, and for one at a time.
func TestPrefaceIsBeforeTheHalf(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { ended <- s.Preface(ctx, 0, lineEnd(nil)) }()
		blocked(t, &s.node)
		for s.unusual().preface.Load() == nil {
		}
		if err := s.Preface(t.Context(), 0, lineEnd(nil)); !errors.Is(err, errPrefacing) {
			t.Errorf("a second one: %v", err)
		}
		if _, err := s.Receive(); !errors.Is(err, errPrefacing) {
			t.Errorf("Receive meanwhile: %v", err)
		}
		cancel(errTest)
		if err := <-ended; !errors.Is(err, errTest) {
			t.Errorf("when its context has ended: %v", err)
		}
		peer.Write([]byte("abc"))
		r, w := halves(t, s)
		want(t, r, "abc")
		if err := s.Preface(t.Context(), 0, lineEnd(nil)); !errors.Is(err, lifetime.ErrTaken) {
			t.Errorf("after the half was handed out: %v", err)
		}
		peer.Close()
		drop(t, r.Drop, w.Drop, s.dropOnly)
		if err := s.Preface(t.Context(), 0, lineEnd(nil)); !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("after the drop: %v", err)
		}
	})
}

// A drop and a shutdown wake a Preface, also one that is about to begin.
func TestPrefaceIsWoken(t *testing.T) {
	for _, wait := range []bool{true, false} {
		for what, end := range map[error]func(s *Socket){
			lifetime.ErrDropped:  func(s *Socket) { s.Drop(t.Context()) },
			lifetime.ErrShutdown: func(s *Socket) { s.Shutdown(t.Context(), errTest) },
		} {
			for kind, text := range kinds(t) {
				s, peer := connect(t, text, lifetime.Refcount)
				ended := make(chan error, 1)
				go func() { ended <- s.Preface(t.Context(), 0, lineEnd(nil)) }()
				if wait {
					blocked(t, &s.node)
				}
				end(s)
				if err := <-ended; !errors.Is(err, what) || !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: ended with %v, want %v", kind, err, what)
				}
				peer.Close()
				within(t, s.node.Done(), "the release")
			}
		}
	}
}

// A reset ends it as such, and what came before it is not taken for a stream that
// has ended.
func TestPrefaceReset(t *testing.T) {
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	saw, ended := make(chan int, 1), make(chan error, 1)
	go func() { ended <- s.Preface(t.Context(), 0, lineEnd(saw)) }()
	peer.Write([]byte("x"))
	<-saw
	reset(peer)
	if err := <-ended; !IsReset(err) {
		t.Errorf("ended with %v", err)
	}
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if s.node.End() != lifetime.Failed {
		t.Errorf("the socket's end is %v", s.node.End())
	}
}

// What was given back and never read was received and not read: it is thrown away
// by a drain, which the peer does not notice, and counted by a shutdown.
func TestPrefaceUnread(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Socket, peer netConn) {
		if _, ok := s.t.(farewell); ok { // it cannot have written without its write half
			drop(t, s.dropOnly)
			peer.Close()
			return
		}
		peer.Write([]byte("abc"))
		s.Preface(t.Context(), 0, func([]byte) (int, bool, error) { return 1, true, nil })
		wrote := fill(t, s.t)
		drop(t, s.dropOnly)
		if got, err := readAll(peer); got != wrote || err != nil {
			t.Errorf("the peer got %d of %d bytes: %v", got, wrote, err)
		}
		peer.Close()
		within(t, s.node.Done(), "the release")
		if n := s.given().len(); n != 0 {
			t.Errorf("%d bytes are still held", n)
		}
	})
	s, peer := connect(t, "127.0.0.1:0", lifetime.Refcount)
	peer.Write([]byte("abc"))
	s.Preface(t.Context(), 0, func(seen []byte) (int, bool, error) { return 1, len(seen) == 3, nil })
	peer.Write([]byte("d"))
	for !s.t.ready() {
	}
	if r, err := s.Shutdown(t.Context(), errTest); r.Unread != 3 || err != nil {
		t.Errorf("the report has %d bytes unread, %v, want 3", r.Unread, err)
	}
}

// Sockets of memory, of somebody else's connection and of standard input have
// prefaces as those of the system's have, and go on after one that was cut.
func TestPrefaceOfOtherKinds(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) (*Socket, io.WriteCloser){
		"memory": func(t *testing.T) (*Socket, io.WriteCloser) {
			s, err := Dial(t.Context(), address(t, "echo:"), At{})
			if err != nil {
				t.Fatal(err)
			}
			w, err := s.Send()
			if err != nil {
				t.Fatal(err)
			}
			return s, dropper{w}
		},
		"foreign": func(t *testing.T) (*Socket, io.WriteCloser) {
			ours, theirs := net.Pipe()
			s, err := FromConn(ours, At{})
			if err != nil {
				t.Fatal(err)
			}
			return s, theirs
		},
		"stdio": func(t *testing.T) (*Socket, io.WriteCloser) {
			s, in, out := stdioPipes(t)
			t.Cleanup(func() { out.Close() })
			return s, in
		},
		"exec": func(t *testing.T) (*Socket, io.WriteCloser) {
			s, err := Dial(t.Context(), address(t, "exec:///bin/cat"), At{})
			if err != nil {
				t.Fatal(err)
			}
			w, err := s.Send()
			if err != nil {
				t.Fatal(err)
			}
			return s, dropper{w}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := make(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := goPreface(s, ctx)
			blocked(t, &s.node)
			cancel(errTest)
			if err := <-ended; !errors.Is(err, errTest) {
				t.Fatalf("when its context has ended: %v", err)
			}
			ended = goPreface(s, t.Context())
			io.WriteString(peer, "on")
			io.WriteString(peer, "e\nrest")
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			written := goClose(peer)
			r, err := s.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); string(got) != "rest" || err != nil {
				t.Errorf("then %q, %v", got, err)
			}
			<-written
			drop(t, r.Drop, s.dropOnly)
			within(t, s.node.Done(), "the release")
		})
	}
}

func goPreface(s *Socket, ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- s.Preface(ctx, 0, lineEnd(nil)) }()
	return ended
}

func goClose(c io.Closer) <-chan error {
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	return closed
}

// A dropper is a write half that is closed by its drop.
type dropper struct{ *WriteHalf }

func (d dropper) Close() error { return d.Drop(context.Background()) }

// A layer reads what a Preface gives back, and what it gives back comes from
// below the layer.
func TestPrefaceBelowALayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		layer := &rot{memoryTransport: newMemoryTransport(Echo)}
		s, err := open(layer, At{})
		if err != nil {
			t.Fatal(err)
		}
		layer.Write([]byte("one\ntwo\n\x09\x01\x02"))
		for i := range 3 { // the third line is the layer's
			layer.begun = i == 2
			if err := s.Preface(t.Context(), 0, lineEnd(nil)); err != nil {
				t.Fatal(err)
			}
		}
		r, w := halves(t, s)
		want(t, r, "\x02\x03")
		drop(t, r.Drop, w.Drop, s.dropOnly)
	})
}

// A rot adds one to every byte that it reads from a memory below.
type rot struct {
	*memoryTransport
	back  pushback
	begun bool
}

func (t *rot) below() (transport, *pushback, bool) { return t.memoryTransport, &t.back, !t.begun }

func (t *rot) Read(p []byte) (int, error) {
	n := t.back.take(p)
	var err error
	if n == 0 {
		n, err = t.memoryTransport.Read(p)
	}
	for i := range p[:n] {
		p[i]++
	}
	return n, err
}

// Whatever is given back in whatever pieces is taken in order, once.
func FuzzPushback(f *testing.F) {
	f.Add([]byte("some bytes"), uint8(3), uint8(4))
	f.Add([]byte("some more bytes"), uint8(1), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, give, take uint8) {
		var u pushback
		for rest := b; len(rest) > 0; { // from the back to the front
			n := min(int(give)%16+1, len(rest))
			u.give(bytes.Clone(rest[len(rest)-n:]))
			rest = rest[:len(rest)-n]
		}
		if u.len() != len(b) {
			t.Fatalf("holds %d bytes of %d", u.len(), len(b))
		}
		var got []byte
		for p := make([]byte, int(take)+1); ; {
			n := u.take(p)
			if n == 0 {
				break
			}
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, b) || u.len() != 0 || u.drop() != 0 {
			t.Fatalf("%q was taken, of %q", got, b)
		}
	})
}

// The stream is the same however the preface is cut, whatever its length is, and
// whoever reads the rest.
func FuzzPreface(f *testing.F) {
	f.Add([]byte("abc\ndef"), uint16(4), uint16(1))
	f.Add(bytes.Repeat([]byte("0123456789"), 700), uint16(5000), uint16(2048))
	f.Fuzz(func(t *testing.T, stream []byte, length, piece uint16) {
		n := min(int(length), len(stream))
		s, err := open(newMemoryTransport(Echo), At{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.Send()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for rest := stream; len(rest) > 0; {
				k := min(int(piece)+1, len(rest))
				w.Write(rest[:k])
				rest = rest[k:]
			}
			w.Drop(context.Background())
		}()
		var got []byte
		err = s.Preface(t.Context(), len(stream)+1, func(seen []byte) (int, bool, error) {
			if len(seen) < n {
				return 0, false, nil
			}
			got = append(got, seen[:n]...)
			return n, true, nil
		})
		if err != nil && (err != io.EOF || len(stream) > 0) {
			t.Fatal(err)
		}
		r, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r)
		if got = append(got, rest...); err != nil || !bytes.Equal(got, stream) {
			t.Fatalf("%d bytes became %d, %v", len(stream), len(got), err)
		}
		<-w.node.Done()
		drop(t, r.Drop, s.dropOnly)
		within(t, s.node.Done(), "the release")
	})
}

// Who has gone before the first byte is told from who has gone in the midst, by a
// FIN and by a reset, before a handshake, too.
func TestUnspoken(t *testing.T) {
	begin := map[string]func(s *Socket, saw chan<- int) error{
		"preface": func(s *Socket, saw chan<- int) error { return s.Preface(t.Context(), 0, lineEnd(saw)) },
		"handshake": func(s *Socket, saw chan<- int) error {
			if saw != nil { // and is given back, to the handshake
				s.Preface(t.Context(), 0, func(seen []byte) (int, bool, error) { saw <- len(seen); return 0, true, nil })
			}
			_, err := s.Handshake(t.Context())
			return err
		},
	}
	for name, at := range map[string]Address{"preface": address(t, "127.0.0.1:0"), "handshake": newPKI(t).server(t, "")} {
		l, err := Listen(t.Context(), at, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Drop(t.Context())
		for _, saw := range []chan int{nil, make(chan int, 1)} {
			for _, resets := range []bool{false, true} {
				s, peer := accepted(t, l)
				ended := make(chan error, 1)
				go func() { ended <- begin[name](s, saw) }()
				if saw != nil {
					peer.Write([]byte("\x16\x03\x01"))
					<-saw
				}
				if resets {
					reset(peer)
				} else {
					peer.Close()
				}
				if err := <-ended; err == nil || IsUnspoken(err) != (saw == nil) || resets && !IsReset(err) {
					t.Errorf("%s: something was said: %v; a reset: %v; it ended with %v", name, saw != nil, resets, err)
				}
				drop(t, s.dropOnly)
				within(t, s.node.Done(), "the release")
			}
		}
	}
}
