package socket

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openSockets returns the descriptors of the process that are sockets.
func openSockets() ([]openSocket, error) {
	size, err := tableSize()
	if err != nil {
		return nil, err
	}
	var list []openSocket
	for number := range size {
		if inode, ok := inodeOf(number); ok {
			list = append(list, openSocket{number, inode})
		}
	}
	return list, nil
}

// errNoTableSize is a /proc/self/status without what we look for.
var errNoTableSize = errors.New("/proc/self/status: no FDSize")

// tableSize returns the size of the process's table of descriptors: proc(5),
// FDSize. To ask about each number in it is many times cheaper than to list
// /proc/self/fd, for which the kernel makes a file of each.
func tableSize() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	return tableSizeOf(status)
}

// tableSizeOf finds the size in a status.
func tableSizeOf(status []byte) (int, error) {
	_, rest, ok := bytes.Cut(status, []byte("\nFDSize:"))
	if !ok {
		return 0, errNoTableSize
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/status: FDSize: %w", err)
	}
	return int(size), nil
}

// inodeOf returns the inode of a descriptor, if it is a socket's. All sockets
// have theirs in one space, and the kernel is long in using one again.
func inodeOf(number int) (uint64, bool) {
	var st unix.Stat_t
	if unix.Fstat(number, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0, false
	}
	return st.Ino, true
}

// tcpSynSent is a connection that is being made; see tcpClose.
const tcpSynSent = 2

// counts reports whether d is still what it was, and a stream that does not
// just connect.
func (d openSocket) counts() bool {
	kind, err := unix.GetsockoptInt(d.number, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(d.number, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err == nil && info.State == tcpSynSent {
		return false
	}
	// At last, so that the answers were its own.
	inode, ok := inodeOf(d.number)
	return ok && inode == d.inode
}

// stray describes d.
func (d openSocket) stray() Stray {
	s := Stray{Inode: d.inode}
	if a, err := unix.Getsockname(d.number); err == nil {
		s.Local = netAddr(a).String()
	}
	if a, err := unix.Getpeername(d.number); err == nil {
		s.Remote = netAddr(a).String()
	}
	return s
}
