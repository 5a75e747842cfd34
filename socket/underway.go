package socket

import (
	"sync"
	"syscall"
)

// An underway is a dial on a goroutine. What it has made is not in the tree until
// it is over: a connection that stands in the system's eyes may still be one of
// whose TLS handshake nobody knows the end. A [Census] knows of it from here.
type underway struct{ inodes []uint64 }

// dials are the sockets of all that are under way, by inode.
var dials struct {
	mu     sync.Mutex
	inodes map[uint64]bool
}

// noting returns what package net calls with each new socket: then, and the note.
func (u *underway) noting(then func(network, address string, c syscall.RawConn) error) func(string, string, syscall.RawConn) error {
	return func(network, address string, c syscall.RawConn) error {
		c.Control(u.note)
		return then(network, address, c)
	}
}

func (u *underway) note(fd uintptr) {
	inode, ok := inodeOf(int(fd))
	if !ok {
		return
	}
	dials.mu.Lock()
	defer dials.mu.Unlock()
	if dials.inodes == nil {
		dials.inodes = make(map[uint64]bool)
	}
	dials.inodes[inode] = true
	u.inodes = append(u.inodes, inode)
}

// over ends it: what it has made is in the tree, or closed.
func (u *underway) over() {
	dials.mu.Lock()
	defer dials.mu.Unlock()
	for _, inode := range u.inodes {
		delete(dials.inodes, inode)
	}
	u.inodes = nil
}
