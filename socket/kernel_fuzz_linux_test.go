package socket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever the status of the process says: the size of its table is a number of
// descriptors, the one in the line of it.
func FuzzTableSize(f *testing.F) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status)
	f.Add(bytes.ReplaceAll(status, []byte("FDSize:\t"), []byte("FDSize:\t-")))
	f.Add([]byte("Name:\tFDSize:\t1\nFDSize:\t64\n"))
	f.Add([]byte("\nFDSize:"))
	f.Add([]byte("\nFDSize:\t99999999999\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		n, err := tableSizeOf(status)
		if err != nil {
			if n != 0 || !strings.HasPrefix(err.Error(), "/proc/self/status: ") {
				t.Errorf("%d, %v", n, err)
			}
			return
		}
		found := false
		for line := range strings.Lines("\n" + string(status)) {
			text, ok := strings.CutPrefix(line, "FDSize:")
			if got, err := strconv.Atoi(strings.TrimSpace(text)); ok && err == nil && got == n {
				found = true
			}
		}
		if n < 0 || !found {
			t.Errorf("%d of %q", n, status)
		}
	})
}

// Whatever is taken for the kernel's answer about a connection: it is a state of
// it, or an error.
func FuzzSockDiag(f *testing.F) {
	host := binary.NativeEndian
	answer := make([]byte, headerSize+inetDiagSize)
	host.PutUint16(answer[4:], unix.SOCK_DIAG_BY_FAMILY)
	answer[headerSize], answer[headerSize+inetStateByte] = unix.AF_INET, 1
	f.Add(bytes.Clone(answer), true)
	f.Add(bytes.Clone(answer), false)
	refused := make([]byte, headerSize+20)
	host.PutUint16(refused[4:], unix.NLMSG_ERROR)
	host.PutUint32(refused[headerSize:], ^uint32(unix.ENOENT)+1)
	f.Add(refused, true)
	f.Add(refused[:headerSize+3], true)
	f.Add([]byte(nil), false)
	f.Fuzz(func(t *testing.T, answer []byte, local bool) {
		k := &kernelKey{family: unix.AF_INET}
		if local {
			k.family = unix.AF_UNIX
		}
		state, err := k.parse(answer)
		switch {
		case len(answer) < headerSize+4 && err == nil:
			t.Errorf("%d bytes are state %d", len(answer), state)
		case err != nil && state != 0:
			t.Errorf("state %d, and %v", state, err)
		case err == nil && !bytes.Contains(answer[headerSize:], []byte{state}):
			t.Errorf("state %d is not in %x", state, answer)
		}
		var errno syscall.Errno
		if errors.As(err, &errno) && len(err.Error()) == 0 {
			t.Error("an error without words")
		}
	})
}
