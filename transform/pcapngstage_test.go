package transform_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"relayd/lifetime"
	"relayd/transform/pcapng/pcapngtest"
)

// streams reads a capture.
func streams(t *testing.T, file string, n int) []*pcapngtest.Stream {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pcapngtest.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != n {
		t.Fatalf("%d streams, want %d", len(s), n)
	}
	return s
}

// recorded is a direction of a conn, open in a capture.
func recorded(t *testing.T, file, conn, direction string, owner *lifetime.Node, in io.Reader) io.ReadCloser {
	t.Helper()
	at, _ := site()
	at.Conn, at.Direction, at.Owner = conn, direction, owner
	at.Client = "192.168.0.5:4000" + conn[1:]
	return mustParse(t, "pcapng:"+file).OpenAt(in, at)
}

// a resource stands for a conn.
type resource struct{ lifetime.Node }

var resourceKind = lifetime.NewKind(lifetime.Hooks[resource]{Name: "conn"})

func newResource(t *testing.T) *resource {
	t.Helper()
	r := new(resource)
	if err := resourceKind.Init(r, nil, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	return r
}

// Conns share a capture, each with both directions on goroutines of their own.
func TestCaptureOfManyConns(t *testing.T) {
	const conns = 6
	file := filepath.Join(t.TempDir(), "a.pcapng")
	in := func(i, d int) []byte { return sample(100_000 + 1000*i + d) }
	var wg sync.WaitGroup
	for i := range conns {
		c := newResource(t)
		var both sync.WaitGroup
		for d, direction := range []string{"up", "down"} {
			both.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), uint64(d)))
				src := &choppy{bytes.NewReader(in(i, d)), random}
				r := recorded(t, file, fmt.Sprint("c", i), direction, &c.Node, src)
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, in(i, d)) {
					t.Errorf("conn %d, %s: %v", i, direction, err)
				}
				r.Close()
			})
		}
		wg.Go(func() {
			both.Wait()
			c.BeginDrop()
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, s := range streams(t, file, conns) {
		id, rest, _ := strings.Cut(s.Comment, ":")
		if seen[id] || rest != " client 192.168.0.5:4000"+id[1:]+", upstream 10.0.0.1:5432" {
			t.Errorf("the comment is %q", s.Comment)
		}
		seen[id] = true
	}
}

// choppy cuts a source up.
type choppy struct {
	io.Reader
	random *rand.Rand
}

func (c *choppy) Read(p []byte) (int, error) {
	return c.Reader.Read(p[:min(len(p), 1+c.random.IntN(5000))])
}

// Both directions of each conn are one stream, with its ends.
func TestCaptureOfBothDirections(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcapng")
	up, down := sample(200_000), sample(50_000)
	for i := range 2 { // the second reopens the file
		conn := fmt.Sprint("c", i)
		u := recorded(t, file, conn, "up", nil, bytes.NewReader(up))
		d := recorded(t, file, conn, "down", nil, bytes.NewReader(down))
		buf := make([]byte, 7000)
		for _, r := range []io.Reader{u, d, d, u} {
			if _, err := r.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []io.ReadCloser{u, d} {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
			r.Close()
		}
	}
	for i, s := range streams(t, file, 2) {
		if !bytes.Equal(s.Client.Bytes, up) || !bytes.Equal(s.Upstream.Bytes, down) {
			t.Error("the bytes are others")
		}
		if s.Reset || !s.Client.Finished || !s.Upstream.Finished {
			t.Error("it does not end with FIN both ways")
		}
		if s.Client.Addr != netip.MustParseAddrPort(fmt.Sprint("192.168.0.5:4000", i)) || s.Upstream.Addr != netip.MustParseAddrPort("10.0.0.1:5432") {
			t.Errorf("it is from %v to %v", s.Client.Addr, s.Upstream.Addr)
		}
	}
}

// How a stream ends that only one stage has seen, or that was cut.
func TestCaptureEnds(t *testing.T) {
	for _, test := range []struct {
		name     string
		up, down string // "eof", "cut" or "" for no stage
		reset    bool
	}{
		{"up alone", "eof", "", false},
		{"down alone", "", "eof", false},
		{"up cut alone", "cut", "", true},
		{"both", "eof", "eof", false},
		{"down cut", "eof", "cut", true},
		{"both cut", "cut", "cut", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a.pcapng")
			var open, whole []io.ReadCloser
			for direction, end := range map[string]string{"up": test.up, "down": test.down} {
				if end == "" {
					continue
				}
				r := recorded(t, file, "c1", direction, nil, strings.NewReader("hello"))
				open = append(open, r)
				if _, err := r.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
				if end == "eof" {
					whole = append(whole, r)
				}
			}
			for _, r := range whole {
				if _, err := r.Read(make([]byte, 10)); err != io.EOF {
					t.Fatal(err)
				}
			}
			for _, r := range open {
				r.Close()
			}
			s := streams(t, file, 1)[0]
			if s.Reset != test.reset || !test.reset && !(s.Client.Finished && s.Upstream.Finished) {
				t.Errorf("reset %t, FIN %t and %t", s.Reset, s.Client.Finished, s.Upstream.Finished)
			}
		})
	}
}

// A direction may be over before the other one has begun: they are in one stream
// all the same, which ends with the conn.
func TestCaptureOfOneAfterTheOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcapng")
	c := newResource(t)
	for _, direction := range []string{"up", "down"} {
		r := recorded(t, file, "c1", direction, &c.Node, strings.NewReader(direction))
		if _, err := io.ReadAll(r); err != nil {
			t.Error(err)
		}
		r.Close()
	}
	c.BeginDrop()
	<-c.Done()
	s := streams(t, file, 1)[0]
	if string(s.Client.Bytes) != "up" || string(s.Upstream.Bytes) != "down" || !s.Client.Finished || !s.Upstream.Finished {
		t.Errorf("got %+v", s)
	}
}

// Two stages of one direction cannot be in one stream: the bytes would be there
// twice.
func TestCaptureTwiceInAChain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcapng")
	at, _ := site()
	r, closeChain := mustChain(t, fmt.Sprintf("pcapng:%s,gzip,pcapng:%[1]s", file)).OpenAt(strings.NewReader("hello"), at)
	_, err := io.ReadAll(r)
	if err == nil || !strings.Contains(err.Error(), "give each stage of a chain a file of its own") {
		t.Errorf("got %v", err)
	}
	if err := closeChain(); err != nil {
		t.Error(err)
	}
}

// A full disk ends the capture, which each stage says once, and no stream.
func TestCaptureToFullDisk(t *testing.T) {
	for range 2 {
		at, log := site()
		passes(t, "pcapng:/dev/full", at, sample(100_000))
		log.want(t, "WARN capture has stopped id=c1 direction=up file=/dev/full err=write capture: write /dev/full: no space left on device")
	}
}

// The same conn comes back when its chains are changed while it lives.
func TestCaptureGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcapng")
	d := recorded(t, file, "c1", "down", nil, strings.NewReader("down"))
	if _, err := d.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		u := recorded(t, file, "c1", "up", nil, strings.NewReader("up"))
		if _, err := io.ReadAll(u); err != nil {
			t.Error(err)
		}
		u.Close()
	}
	if _, err := io.ReadAll(d); err != nil {
		t.Error(err)
	}
	d.Close()
	s := streams(t, file, 2)
	if string(s[0].Client.Bytes) != "up" || string(s[1].Client.Bytes) != "up" || string(s[0].Upstream.Bytes) != "down" || s[1].Reset {
		t.Errorf("got %+v and %+v", s[0], s[1])
	}
}
