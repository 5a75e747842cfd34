package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/program"
)

// backlog is how many connections a target has waiting at most.
const backlog = 32

// beTarget is a target's process, until it is killed or its standard input ends.
// It sends lines back, each after its own address.
func beTarget(where string) int {
	ln, err := net.Listen("tcp", where)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), backlog) }), err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go acceptAsTarget(ln)
	fmt.Println(ln.Addr())
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func acceptAsTarget(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go answerAsTarget(c)
	}
}

func answerAsTarget(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %s", c.LocalAddr(), line)
	}
}

// A target is such a process. One that was killed can be started again, at the
// same address.
type target struct {
	*program.Self
	t    *testing.T
	name string
	addr string
}

// startTarget starts one at an address of its own: nobody else takes the port
// while it is down.
func startTarget(t *testing.T, name, host string) *target {
	t.Helper()
	x := &target{t: t, name: name, addr: host + ":0"}
	x.start()
	return x
}

func (x *target) start() {
	x.t.Helper()
	x.Self = program.StartSelf(x.t, x.addr)
	line, err := x.Out.ReadString('\n')
	if err != nil {
		x.t.Fatalf("target %s: %v", x.name, err)
	}
	x.addr = strings.TrimSpace(line)
}

// stop makes it a black hole: it does not accept, and neither does its kernel. It
// returns since when.
func (x *target) stop() time.Time {
	x.t.Helper()
	x.Cmd.Process.Signal(syscall.SIGSTOP)
	for {
		began := time.Now()
		c, err := net.DialTimeout("tcp", x.addr, 200*time.Millisecond)
		if err != nil {
			if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
				x.t.Fatalf("a target that does not accept: %v", err)
			}
			return began
		}
		x.t.Cleanup(func() { c.Close() })
	}
}

func (x *target) goOn() { x.Cmd.Process.Signal(syscall.SIGCONT) }
