package relay

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"

	"relayd/socket"
	"relayd/transform"
)

// benchServer starts a server in front of an upstream that echoes.
func benchServer(b *testing.B, c Config) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go echoAll(l)
	c.Listen = []socket.Address{parseAddress(b, "127.0.0.1:0")}
	c.To = parseAddress(b, l.Addr().String())
	s, err := Start(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		s.Drain(ctx)
	})
	a := s.Addrs()[0]
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// BenchmarkConn is the life of a conn: accepted, dialled, a message and its
// answer, both ends. The client's and the upstream's allocations are in the
// count.
func BenchmarkConn(b *testing.B) {
	for _, mode := range []struct {
		name  string
		loops int
	}{{"loop", 1}, {"goroutines", -1}} {
		b.Run(mode.name, func(b *testing.B) {
			addr := benchServer(b, Config{EventLoops: mode.loops})
			message := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				exchange(b, c, message)
				c.Close()
			}
		})
	}
}

// BenchmarkMessage is a message and its answer through a conn that stands: in
// the steady state nothing is allocated, with stages or without.
func BenchmarkMessage(b *testing.B) {
	gzip, err := transform.ParseChain("gzip,gunzip")
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []struct {
		name string
		c    Config
	}{
		{"loop", Config{EventLoops: 1}},
		{"goroutines", Config{EventLoops: -1}},
		{"staged", Config{EventLoops: -1, Up: gzip, Down: gzip}},
	} {
		b.Run(mode.name, func(b *testing.B) {
			c, err := net.Dial("tcp", benchServer(b, mode.c))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			message := make([]byte, 64)
			for range 100 {
				exchange(b, c, message)
			}
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, c, message)
			}
		})
	}
}

func parseAddress(b *testing.B, s string) socket.Address {
	a, err := socket.ParseAddress(s)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func exchange(b *testing.B, c net.Conn, message []byte) {
	if _, err := c.Write(message); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, message); err != nil {
		b.Fatal(err)
	}
}

func echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go echoConn(c)
	}
}

func echoConn(c net.Conn) {
	defer c.Close()
	b := make([]byte, 64)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}
