package metrics

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// The clients and the upstream of these tests are in a process of their own, so
// that all sockets of the test's are the relay's.

// peerVariable makes the test binary a peer.
const peerVariable = "RELAYD_TEST_PEER"

// testPatience bounds every wait of these tests.
const testPatience = 30 * time.Second

// A peer is that process. It echoes at its address.
type peer struct {
	addr  string
	in    io.WriteCloser
	lines *bufio.Scanner
}

func startPeer(tb testing.TB) *peer {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	p := &peer{in: in, lines: bufio.NewScanner(out)}
	p.addr = p.line(tb)
	return p
}

// line returns the next line that the peer says.
func (p *peer) line(tb testing.TB) string {
	tb.Helper()
	if !p.lines.Scan() {
		tb.Fatalf("the peer has gone: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// do makes the peer do something, and returns what it says at the end.
func (p *peer) do(tb testing.TB, format string, args ...any) string {
	tb.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		tb.Fatal(err)
	}
	return p.line(tb)
}

// runPeer is what the process does: it obeys lines on its standard input until
// that ends.
func runPeer() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go echoAll(ln)
	fmt.Println(ln.Addr())
	in := bufio.NewScanner(os.Stdin)
	var held []net.Conn
	c := churn{stop: make(chan struct{})}
	for in.Scan() {
		var verb, addr string
		var n int
		fmt.Sscan(in.Text(), &verb, &addr, &n)
		switch verb {
		case "hold":
			for range n {
				held = append(held, visit(addr))
			}
			fmt.Println("held", len(held))
		case "release":
			for _, h := range held {
				h.Close()
			}
			held = nil
			fmt.Println("released")
		case "get": // what a scrape says of sockets
			fmt.Println(get(addr))
		case "churn":
			for range n {
				c.running.Add(1)
				go c.run(addr)
			}
			fmt.Println("churning")
		case "calm":
			close(c.stop)
			c.running.Wait()
			fmt.Println("calm")
		}
	}
}

// get returns the sample of a scrape that tests look at.
func get(url string) string {
	r, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	v, _ := value(string(text), unaccounted)
	return unaccounted + " " + v
}

func echoAll(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go echo(c)
	}
}

func echo(c net.Conn) {
	defer c.Close()
	io.Copy(c, struct{ io.Reader }{c}) // without a pipe of package net
}

// visit returns a connection through which a byte has gone both ways.
func visit(addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		panic(err)
	}
	c.SetDeadline(time.Now().Add(testPatience))
	if _, err := c.Write([]byte{1}); err != nil {
		panic(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		panic(err)
	}
	return c
}

// A churn makes connections, and ends them in all ways.
type churn struct {
	stop    chan struct{}
	running sync.WaitGroup
}

func (c *churn) run(addr string) {
	defer c.running.Done()
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		default:
		}
		conn := visit(addr).(*net.TCPConn)
		switch i % 3 {
		case 0: // both finish
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		case 1:
			conn.SetLinger(0)
		}
		conn.Close()
	}
}
