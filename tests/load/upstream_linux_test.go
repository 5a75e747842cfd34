package load

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"relayd/tests/program"
)

// An upstream is a process of its own, with a limit of descriptors of its own.
type upstream struct {
	*program.Self
	addr string
}

// startUpstream runs one at an address, until the end of the test at the latest.
func startUpstream(t *testing.T, at string) *upstream {
	t.Helper()
	u := &upstream{Self: program.StartSelf(t, at)}
	line, err := u.Out.ReadString('\n')
	if err != nil {
		t.Fatalf("upstream: %v", err)
	}
	u.addr = strings.TrimSpace(line)
	return u
}

// serve is the upstream's process. It answers each question of eight bytes with
// its double, until its standard input ends.
func serve(at string) int {
	ln, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go accept(ln)
	fmt.Println(ln.Addr())
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go answer(c)
	}
}

func answer(c net.Conn) {
	defer c.Close()
	var q [8]byte
	for {
		if _, err := io.ReadFull(c, q[:]); err != nil {
			return
		}
		binary.BigEndian.PutUint64(q[:], 2*binary.BigEndian.Uint64(q[:]))
		if _, err := c.Write(q[:]); err != nil {
			return
		}
	}
}

// ask asks one question.
func ask(c net.Conn, n uint64) error {
	var q [8]byte
	binary.BigEndian.PutUint64(q[:], n)
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(q[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, q[:]); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint64(q[:]); got != 2*n {
		return fmt.Errorf("the answer to %d is %d", n, got)
	}
	return nil
}

// dial connects from one of several addresses: each has some 28,000 ports.
func dial(to string, n int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%8))}, Timeout: patience, KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d.Dial("tcp", to)
}
