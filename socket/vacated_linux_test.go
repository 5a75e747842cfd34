package socket

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"relayd/tests/leak"
)

// A program that is being started has copies of all descriptors until it is
// executed: who listens where a listener of ours has been waits for that. Where
// there was none, nobody waits.
func TestVacated(t *testing.T) {
	leak.Check(t)
	l, err := Listen(t.Context(), address(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.ln.(*kernelListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	copied := -1
	raw.Control(func(fd uintptr) { copied, err = syscall.Dup(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	drop(t, l.Drop)
	tries := 0
	lc := net.ListenConfig{Control: func(string, string, syscall.RawConn) error {
		if tries++; tries == 3 {
			syscall.Close(copied) // it is executed
		}
		return nil
	}}
	lc.SetMultipathTCP(false) // it would try TCP after that
	ln, err := bind(t.Context(), &lc, l.Addr())
	if err != nil {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	defer ln.Close()
	if tries != 3 {
		t.Errorf("%d tries, want 3", tries)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	at := address(t, other.Addr().String())
	vacated.mu.Lock()
	delete(vacated.ports, at.Port) // another test may have been there
	vacated.mu.Unlock()
	tries = 0
	if _, err := bind(t.Context(), &lc, at); !errors.Is(err, syscall.EADDRINUSE) || tries != 1 {
		t.Errorf("where somebody listens: %d tries, %v", tries, err)
	}
}
