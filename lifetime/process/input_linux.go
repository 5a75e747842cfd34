package process

import (
	"net"
	"os"
	"syscall"
)

// NewInput returns an input and the program's end of it, which the caller
// closes when the program has its copy.
//
// It is a pair of sockets. A socket that is closed with bytes in it that nobody
// has read makes its peer's reads fail, after those that find what was written
// before; so ours has one such byte from the beginning.
func NewInput() (Input, *os.File, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "input"), os.NewFile(uintptr(pair[1]), "input")
	defer ours.Close()
	if _, err := theirs.Write([]byte{0}); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}
