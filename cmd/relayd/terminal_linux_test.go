package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"relayd/tests/leak"
)

// A terminal is a pseudo-terminal: what a person types at it and sees.
type terminal struct {
	t    *testing.T
	keys *os.File // the person's side
	tty  *os.File // the program's, shared with the shell that has started it
	seen bytes.Buffer
	all  bytes.Buffer // that it has shown, also what was looked at
}

func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	var number, lock int32
	raw, err := keys.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if err = ioctl(fd, syscall.TIOCSPTLCK, unsafe.Pointer(&lock)); err == nil {
			err = ioctl(fd, syscall.TIOCGPTN, unsafe.Pointer(&number))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Not os.OpenFile, which would make it non-blocking.
	fd, err := syscall.Open(fmt.Sprintf("/dev/pts/%d", number), syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tty := os.NewFile(uintptr(fd), "tty")
	t.Cleanup(func() { tty.Close() })
	return &terminal{t: t, keys: keys, tty: tty}
}

// modes are what a program could leave behind: the flags of the open file, which
// a shell shares, and the settings of the line.
func (x *terminal) modes() (m struct {
	flags uintptr
	line  syscall.Termios
}) {
	x.t.Helper()
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, x.tty.Fd(), syscall.F_GETFL, 0)
	if errno != 0 {
		x.t.Fatal(errno)
	}
	m.flags = flags
	if err := ioctl(x.tty.Fd(), syscall.TCGETS, unsafe.Pointer(&m.line)); err != nil {
		x.t.Fatal(err)
	}
	return m
}

// start runs relayd as the program in the foreground.
func (x *terminal) start(args ...string) *exec.Cmd {
	x.t.Helper()
	path, err := exec.LookPath("relayd")
	if err != nil {
		x.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.tty, x.tty, x.tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { cmd.Process.Kill() }) // if it has not ended
	return cmd
}

// press types keys.
func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := x.keys.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// want waits until text is on the screen, below what was wanted before.
func (x *terminal) want(text string) {
	x.t.Helper()
	x.keys.SetReadDeadline(time.Now().Add(scriptPatience))
	for buf := make([]byte, 4096); ; {
		if i := strings.Index(x.seen.String(), text); i >= 0 {
			x.seen.Next(i + len(text))
			return
		}
		n, err := x.keys.Read(buf)
		x.seen.Write(buf[:n])
		x.all.Write(buf[:n])
		if err != nil {
			x.t.Fatalf("no %q on the terminal, but %q: %v", text, &x.seen, err)
		}
	}
}

// ends waits for the program's exit, with a certain code.
func (x *terminal) ends(cmd *exec.Cmd, code int) {
	x.t.Helper()
	late := time.AfterFunc(scriptPatience, func() { cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		x.t.Errorf("it ended with %v, want exit code %d", cmd.ProcessState, code)
	}
}

// At a terminal relayd is a program like cat: a line goes and comes back, the end
// of the input ends it, and the shell finds its terminal as it was.
func TestTerminal(t *testing.T) {
	leak.Check(t)
	for _, to := range []string{"echo:", "exec:///bin/cat"} {
		x := newTerminal(t)
		before := x.modes()
		cmd := x.start("-l", "stdio:", "-t", to)
		x.want("INF sandbox files=") // the last that it says before it relays: the rest is what is typed
		x.want("\r\n")
		for _, line := range []string{"hello", "", "again and again"} {
			x.press(line + "\n")
			x.want(line + "\r\n" + line + "\r\n") // the terminal's echo, and relayd's
			if x.modes() != before {
				t.Errorf("to %s: while it runs the modes of the terminal are %+v, were %+v", to, x.modes(), before)
			}
		}
		x.press("\x04") // ^D
		x.want("reason=eof")
		x.ends(cmd, 0)
		if x.modes() != before {
			t.Errorf("to %s: the modes of the terminal are left as %+v, were %+v", to, x.modes(), before)
		}
	}
}

// The interrupt key drains, and pressed again ends it at once.
func TestTerminalInterrupt(t *testing.T) {
	leak.Check(t)
	for _, to := range []string{"echo:", "exec:///bin/cat"} {
		x := newTerminal(t)
		before := x.modes()
		cmd := x.start("-l", "stdio:", "-t", to)
		x.want("INF sandbox files=") // the last that it says before it relays: the rest is what is typed
		x.want("\r\n")
		x.press("hello\n")
		x.want("hello\r\nhello\r\n")
		x.press("\x03") // ^C
		x.want("draining")
		x.press("still there\n")
		x.want("still there\r\nstill there\r\n")
		x.press("\x03")
		x.want("reason=drained")
		x.ends(cmd, 3)
		if x.modes() != before {
			t.Errorf("to %s: the modes of the terminal are left as %+v, were %+v", to, x.modes(), before)
		}
	}
}
