package pcapng

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/transform/pcapng/pcapngtest"
)

// noon is when these captures are made.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

// headersSize is how much stands before the first packet.
const headersSize = 76

func newWriter(t testing.TB, b *bytes.Buffer) *Writer {
	t.Helper()
	w, err := NewWriter(b)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// read returns the streams of a capture, which must be as many and right.
func read(t testing.TB, file []byte, n int) []*pcapngtest.Stream {
	t.Helper()
	s, err := pcapngtest.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != n {
		t.Fatalf("%d streams, want %d", len(s), n)
	}
	return s
}

// noise is n bytes like no others.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// talk writes up and down in pieces of random sizes, in turn at random.
func talk(t testing.TB, c *Conn, random *rand.Rand, up, down []byte) {
	t.Helper()
	left := [2][]byte{up, down}
	for len(left[Up])+len(left[Down]) > 0 {
		d := Direction(random.IntN(2))
		n := min(len(left[d]), random.IntN(200_000))
		if random.IntN(3) > 0 {
			n = min(n, random.IntN(2000))
		}
		if err := c.Write(d, noon, left[d][:n]); err != nil {
			t.Error(err)
			return
		}
		left[d] = left[d][n:]
	}
}

// What goes in comes out, both ways, however it is cut up; also where the
// sequence numbers begin anew at zero.
func TestStream(t *testing.T) {
	up, down := noise(1, 300_000), noise(2, 1_000_000)
	for _, isn := range []uint32{0, 1, 1<<32 - 1, 1<<32 - 2, 1<<32 - 100_000, 1<<32 - 300_001, 1 << 31} {
		t.Run(fmt.Sprint(isn), func(t *testing.T) {
			var b bytes.Buffer
			w := newWriter(t, &b)
			w.isn = func() uint32 { return isn }
			c := w.Conn(noon, "conn-1", "192.168.1.2:4000", "10.0.0.1:80")
			talk(t, c, rand.New(rand.NewPCG(uint64(isn), 1)), up, down)
			c.Finish(Up, noon)
			c.Finish(Down, noon)
			if err := c.Close(noon); err != nil {
				t.Error(err)
			}
			s := read(t, b.Bytes(), 1)[0]
			if !bytes.Equal(s.Client.Bytes, up) || !bytes.Equal(s.Upstream.Bytes, down) {
				t.Error("the bytes are others")
			}
			if !s.Client.Finished || !s.Upstream.Finished || s.Reset || !s.Client.Acked || !s.Upstream.Acked {
				t.Errorf("the end is wrong: %+v", s)
			}
			if !s.Began.Equal(noon) {
				t.Errorf("it began at %v", s.Began)
			}
			if want := "conn-1: client 192.168.1.2:4000, upstream 10.0.0.1:80"; s.Comment != want {
				t.Errorf("the comment is %q, want %q", s.Comment, want)
			}
		})
	}
}

// Conns share a file, each with goroutines of its own for both directions.
func TestConcurrentConns(t *testing.T) {
	const conns, rounds = 8, 200
	var b bytes.Buffer
	w := newWriter(t, &b)
	var wg sync.WaitGroup
	for i := range conns {
		c := w.Conn(noon, "conn", fmt.Sprintf("127.0.0.1:%d", 1000+i), "[::1]:80")
		var both sync.WaitGroup
		for d := range Direction(2) {
			both.Go(func() {
				for n := range rounds {
					c.Write(d, noon, fmt.Appendf(nil, "%d %d %d;", i, d, n))
				}
				c.Finish(d, noon)
			})
		}
		wg.Go(func() {
			both.Wait()
			c.Close(noon)
		})
	}
	wg.Wait()
	for i, s := range read(t, b.Bytes(), conns) {
		for d, h := range []pcapngtest.Half{s.Client, s.Upstream} {
			var want []byte
			for n := range rounds {
				want = fmt.Appendf(want, "%d %d %d;", i, d, n)
			}
			if !bytes.Equal(h.Bytes, want) || !h.Finished || h.Segments != rounds {
				t.Errorf("conn %d, direction %d: got %d bytes in %d segments", i, d, len(h.Bytes), h.Segments)
			}
		}
	}
}

func TestSegments(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(t, &b)
	c := w.Conn(noon, "", "", "[2001:db8:5::1]:443")
	want := noise(3, 1_000_000)
	if err := c.Write(Down, noon, want); err != nil {
		t.Fatal(err)
	}
	if len(w.block) > 64<<10+200 {
		t.Errorf("a block of %d bytes", len(w.block))
	}
	s := read(t, b.Bytes(), 1)[0]
	if !bytes.Equal(s.Upstream.Bytes, want) || s.Upstream.Segments != 16 {
		t.Errorf("%d bytes in %d segments", len(s.Upstream.Bytes), s.Upstream.Segments)
	}
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name     string
		finishes []Direction
		reset    bool
	}{
		{"both", []Direction{Up, Down}, false},
		{"both twice", []Direction{Down, Up, Down, Up}, false},
		{"up only", []Direction{Up}, true},
		{"down only", []Direction{Down}, true},
		{"none", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			w := newWriter(t, &b)
			c := w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
			for _, d := range test.finishes {
				if err := c.Finish(d, noon); err != nil {
					t.Error(err)
				}
			}
			for range 2 {
				if err := c.Close(noon); err != nil {
					t.Error(err)
				}
			}
			s := read(t, b.Bytes(), 1)[0]
			if s.Reset != test.reset || s.Client.Finished != slices.Contains(test.finishes, Up) ||
				s.Upstream.Finished != slices.Contains(test.finishes, Down) {
				t.Errorf("got reset %t, FIN %t and %t", s.Reset, s.Client.Finished, s.Upstream.Finished)
			}
			if err := c.Write(Up, noon, []byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a write after Close: %v", err)
			}
			if err := c.Finish(Up, noon); !errors.Is(err, net.ErrClosed) {
				t.Errorf("an end after Close: %v", err)
			}
		})
	}
}

// A direction that goes on after its end does so in a second stream, in which
// the other one has ended if it had.
func TestStreamGoesOn(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(t, &b)
	c := w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
	c.Write(Down, noon, []byte("answer"))
	c.Finish(Down, noon)
	c.Write(Up, noon, []byte("one"))
	c.Finish(Up, noon)
	c.Write(Up, noon, []byte("two"))
	c.Finish(Up, noon)
	c.Close(noon)
	s := read(t, b.Bytes(), 2)
	for i, want := range []string{"one", "two"} {
		if string(s[i].Client.Bytes) != want || !s[i].Client.Finished || !s[i].Upstream.Finished || s[i].Reset {
			t.Errorf("stream %d: %+v", i, s[i])
		}
	}
	if got := string(s[0].Upstream.Bytes) + "|" + string(s[1].Upstream.Bytes); got != "answer|" {
		t.Errorf("the other direction is %q", got)
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ client, upstream, from, to string }{
		{"1.2.3.4:5", "6.7.8.9:10", "1.2.3.4:5", "6.7.8.9:10"},
		{"[::1]:5", "[fe80::2%eth0]:10", "[::1]:5", "[fe80::2]:10"},
		{"1.2.3.4:5", "[::1]:10", "[::ffff:1.2.3.4]:5", "[::1]:10"},
		{"[::1]:5", "1.2.3.4:10", "[::1]:5", "[::ffff:1.2.3.4]:10"},
		{"[::ffff:1.2.3.4]:5", "6.7.8.9:10", "1.2.3.4:5", "6.7.8.9:10"},
		{"@", "/run/a.sock", "192.0.2.1:1024", "192.0.2.2:1"},
		{"", "", "192.0.2.1:1024", "192.0.2.2:1"},
		{"localhost:1", "6.7.8.9:10", "192.0.2.1:1024", "6.7.8.9:10"},
		{"@", "[::1]:10", "[2001:db8::1]:1024", "[::1]:10"},
		{"1.2.3.4:5", "exec:///bin/cat", "1.2.3.4:5", "192.0.2.2:1"},
		{"[::1]:5", "\x1b[31m\xff", "[::1]:5", "[2001:db8::2]:1"},
	} {
		var b bytes.Buffer
		w := newWriter(t, &b)
		w.Conn(noon, "", test.client, test.upstream)
		s := read(t, b.Bytes(), 1)[0]
		if got := s.Client.Addr.String(); got != test.from {
			t.Errorf("client %q is %s, want %s", test.client, got, test.from)
		}
		if got := s.Upstream.Addr.String(); got != test.to {
			t.Errorf("upstream %q is %s, want %s", test.upstream, got, test.to)
		}
	}
}

// Two conns with the same addresses at one time do not mix.
func TestSameAddresses(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(t, &b)
	var last *Conn
	for i, want := range []string{"1.2.3.4:5", "192.0.2.1:1024", "192.0.2.1:1025"} {
		last = w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
		last.Write(Up, noon, []byte{byte(i)})
		if got := last.ends[Up].addr.String(); got != want {
			t.Errorf("the client of conn %d is %s, want %s", i, got, want)
		}
	}
	last.Close(noon)
	if s := read(t, b.Bytes(), 3); s[2].Client.Bytes[0] != 2 || !s[2].Reset || s[0].Reset {
		t.Error("the conns are mixed")
	}
	if len(w.live) != 2 {
		t.Errorf("%d conns are live", len(w.live))
	}
}

// More conns than there are ports have each a stream, if they do not all live at
// once.
func TestInventedPortsComeAround(t *testing.T) {
	w := newWriter(t, new(bytes.Buffer))
	w.invented = 1<<16 - firstInventedPort - 1
	for _, want := range []string{"192.0.2.1:65535", "192.0.2.1:1024"} {
		if from, _ := w.addresses("", ""); from.String() != want {
			t.Errorf("got %v, want %s", from, want)
		}
	}
}

// Ports of conns that live are passed over, however many are in a row.
func TestInventedPortsThatLive(t *testing.T) {
	w := newWriter(t, new(bytes.Buffer))
	for range 3 {
		w.addresses("", "")
	}
	w.invented = 0
	if from, _ := w.addresses("", ""); from.String() != "192.0.2.1:1027" {
		t.Errorf("got %v, want 192.0.2.1:1027: the ones before are taken", from)
	}
}

func TestLongComment(t *testing.T) {
	var b bytes.Buffer
	newWriter(t, &b).Conn(noon, "conn-1", strings.Repeat("ü", 40_000), "")
	s := read(t, b.Bytes(), 1)[0]
	if n := len(s.Comment); n > maxComment || !strings.HasPrefix(s.Comment, "conn-1: client üü") {
		t.Errorf("a comment of %d bytes: %.20q", n, s.Comment)
	}
}

// limited takes n bytes and then fails.
type limited struct {
	bytes.Buffer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.n, len(p))
	l.n -= n
	l.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// The first error stays, whoever asks, and nothing is written after it: what is
// there can be read.
func TestErrorStays(t *testing.T) {
	for n := range 1900 {
		l := &limited{n: n}
		w, err := NewWriter(l)
		if (err != nil) != (n < headersSize) || err != w.Err() {
			t.Fatalf("room for %d bytes: got %v and %v", n, err, w.Err())
		}
		c := w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
		for range 20 {
			err = c.Write(Up, noon, []byte("hello"))
		}
		if !errors.Is(err, syscall.ENOSPC) || c.Finish(Up, noon) != err || c.Close(noon) != err || w.Err() != err {
			t.Fatalf("room for %d bytes: got %v, then %v", n, err, w.Err())
		}
		if w.Conn(noon, "", "", "").Write(Up, noon, []byte("hello")) != err {
			t.Fatal("another conn does not know")
		}
		if l.Len() != n {
			t.Fatalf("room for %d bytes: %d written", n, l.Len())
		}
	}
}

// shy writes less than it is given, and says nothing.
type shy struct{}

func (shy) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestShortWrite(t *testing.T) {
	if _, err := NewWriter(shy{}); err == nil || !strings.Contains(err.Error(), "short write") {
		t.Errorf("got %v", err)
	}
}

func TestFullDevice(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := Append(f)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	c := w.Conn(noon, "", "", "")
	if got := c.Write(Down, noon, []byte("x")); got != err {
		t.Errorf("got %v, want %v", got, err)
	}
}
