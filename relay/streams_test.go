package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// A pattern is an endless stream in which no part is like another: what is lost,
// doubled or out of order shows. Two seeds make two streams.
type pattern uint64

// fill writes what stands at an offset: a hash of each 8 bytes' place.
func (p pattern) fill(b []byte, off int64) {
	for i := range b {
		n := uint64(off) + uint64(i)
		x := (n/8 + uint64(p)) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		b[i] = byte(x >> (8 * (n % 8)))
	}
}

// differs says where b is not the pattern from an offset on.
func (p pattern) differs(b []byte, off int64) error {
	want := make([]byte, len(b))
	p.fill(want, off)
	if bytes.Equal(b, want) {
		return nil
	}
	for i := range b {
		if b[i] != want[i] {
			return fmt.Errorf("byte %d is wrong", off+int64(i))
		}
	}
	return nil
}

// write sends the pattern until it is enough, and finishes. It returns how much
// that was.
func (p pattern) write(c *net.TCPConn, enough func(n int64) bool) (off int64, err error) {
	buf := make([]byte, 48<<10)
	for !enough(off) {
		part := buf[:1+off%int64(len(buf))] // of all sizes
		p.fill(part, off)
		if _, err := c.Write(part); err != nil {
			return off, fmt.Errorf("written %d: %w", off, err)
		}
		off += int64(len(part))
	}
	return off, c.CloseWrite()
}

// read wants the pattern and then a clean end, and returns how much that was.
func (p pattern) read(c io.Reader) (off int64, err error) {
	buf := make([]byte, 64<<10)
	for {
		k, err := c.Read(buf)
		if bad := p.differs(buf[:k], off); bad != nil {
			return off, bad
		}
		off += int64(k)
		switch {
		case err == io.EOF:
			return off, nil
		case err != nil:
			return off, fmt.Errorf("read %d: %w", off, err)
		}
	}
}

// A oneWay is a stream of which both ends are ours.
type oneWay struct {
	sent, got chan streamed
}

type streamed struct {
	n   int64
	err error
}

func (p pattern) send(from *net.TCPConn, to io.Reader, enough func(n int64) bool) oneWay {
	w := oneWay{make(chan streamed, 1), make(chan streamed, 1)}
	go func() {
		n, err := p.write(from, enough)
		w.sent <- streamed{n, err}
	}()
	go func() {
		n, err := p.read(to)
		w.got <- streamed{n, err}
	}()
	return w
}

// arrives waits for the end, and wants all to have arrived. It returns how much
// that was.
func (w oneWay) arrives(t *testing.T) int64 {
	t.Helper()
	sent, got := <-w.sent, <-w.got
	if sent.err != nil || got.err != nil || sent.n != got.n {
		t.Errorf("sent %d, %v; received %d, %v", sent.n, sent.err, got.n, got.err)
	}
	return sent.n
}

// The two streams of a conn.
const (
	upward1   pattern = 1
	downward1 pattern = 1 << 40
)

// underLoad calls f so many times while a conn relays both patterns, and wants all
// of them to arrive and to be counted.
func underLoad(t *testing.T, s *Server, log lines, u backend, times int, f func(id string, i int)) {
	t.Helper()
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	id := onlyConn(t, s)
	var over atomic.Bool
	enough := func(int64) bool { return over.Load() }
	upward, downward := upward1.send(c, up, enough), downward1.send(up, c, enough)
	for i := range times {
		f(id, i)
		if t.Failed() {
			break
		}
	}
	over.Store(true)
	n, m := upward.arrives(t), downward.arrives(t)
	end := log.next(t, "conn ended")
	wantBytes(t, end, n, m)
	if _, cut := end["truncated"]; cut || end["reason"].String() != "eof" {
		t.Errorf("it ended as %v", end)
	}
}

// onlyConn returns the id of the one conn that lives and relays.
func onlyConn(t *testing.T, s *Server) string {
	t.Helper()
	list := s.Conns()
	if len(list) != 1 {
		t.Fatalf("%d conns, want one", len(list))
	}
	return list[0].ID
}

// onLoop waits until the conn is on a loop, or is not.
func onLoop(t *testing.T, s *Server, id string, want bool) {
	t.Helper()
	c := s.find(id)
	if c == nil {
		t.Fatal("the conn is gone")
	}
	eventually(t, "on a loop: "+strconv.FormatBool(want), func() bool { return c.client.OnLoop() == want && c.upstream.OnLoop() == want })
}

// eventually looks until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(testPatience)
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	for !ok() {
		select {
		case <-every.C:
		case <-late:
			t.Fatalf("%v without this: %s", testPatience, what)
		}
	}
}
