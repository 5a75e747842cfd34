package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
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

// write sends the first n bytes of the pattern, and finishes.
func (p pattern) write(c *net.TCPConn, n int64) error {
	buf := make([]byte, 48<<10)
	for off := int64(0); off < n; {
		part := buf[:min(n-off, 1+off%int64(len(buf)))] // of all sizes
		p.fill(part, off)
		if _, err := c.Write(part); err != nil {
			return fmt.Errorf("written %d: %w", off, err)
		}
		off += int64(len(part))
	}
	return c.CloseWrite()
}

// read wants the first n bytes of the pattern and then a clean end.
func (p pattern) read(c io.Reader, n int64) error {
	buf := make([]byte, 64<<10)
	for off := int64(0); ; {
		k, err := c.Read(buf)
		if bad := p.differs(buf[:k], off); bad != nil {
			return bad
		}
		off += int64(k)
		switch {
		case err == io.EOF && off == n:
			return nil
		case err != nil:
			return fmt.Errorf("read %d of %d: %w", off, n, err)
		}
	}
}

// The two streams of a conn.
const (
	upward1   pattern = 1
	downward1 pattern = 1 << 40
)

// A load is a conn that relays both patterns at once.
type load struct {
	id   string
	done chan error // four results
}

// startLoad relays n bytes each way.
func startLoad(t *testing.T, s *Server, u upstream, n int64) load {
	t.Helper()
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	l := load{id: onlyConn(t, s), done: make(chan error, 4)}
	go func() { l.done <- upward1.write(c, n) }()
	go func() { l.done <- upward1.read(up, n) }()
	go func() { l.done <- downward1.write(up, n) }()
	go func() { l.done <- downward1.read(c, n) }()
	return l
}

// during calls f again and again as long as the load runs, and wants all of it
// to have arrived.
func (l load) during(t *testing.T, f func()) {
	t.Helper()
	for left := 4; left > 0; {
		select {
		case err := <-l.done:
			if err != nil {
				t.Error(err)
			}
			left--
		default:
			f()
		}
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
