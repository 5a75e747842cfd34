package socket

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"relayd/tests/leak"
)

// What was there when the terminal was waited for may be flushed before it is
// read, as the interrupt key does. Whoever reads then waits again, and is woken.
func TestStdioTerminalFlushed(t *testing.T) {
	leak.Check(t)
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	ptmx := int(keys.Fd())
	if err := unix.IoctlSetPointerInt(ptmx, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(ptmx, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(shared)
	in, err := unix.Dup(shared)
	if err != nil {
		t.Fatal(err)
	}
	out, err := unix.Dup(shared)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := stdioOf(in, out)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	stdio := tr.(*stdioTransport)
	keys.WriteString("gone\n")
	tries := 0
	n, err := stdio.in.do(false, unix.POLLIN, func(fd int) (int, error) {
		tries++
		if err := unix.IoctlSetInt(shared, unix.TCFLSH, unix.TCIFLUSH); err != nil {
			t.Error(err)
		}
		n, err := unix.Read(fd, make([]byte, 8))
		stdio.interruptRead()
		return n, err
	})
	if tries != 1 || n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d tries: %d, %v", tries, n, err)
	}
	if flags, err := unix.FcntlInt(uintptr(shared), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("who shares the terminal finds it with the flags %#x, %v", flags, err)
	}
}
