//go:build !linux

package socket

import (
	"net/netip"
	"syscall"
)

// A sockaddr is where a loop connects to: nowhere, here.
type sockaddr struct{ size uint32 }

func inetSockaddr(netip.Addr, uint16) (to sockaddr) { return to }
func unixSockaddr(string) (to sockaddr)             { return to }
func (d *Dialer) begin() (int, error)               { return -1, ErrNoLoops }
func (d *Dialer) setSecond(int)                     {}
func (d *Dialer) setLate(int)                       {}
func socketError(int) error                         { return ErrNoLoops }

func acceptFrom(int) (int, string, syscall.Errno) { return -1, "", syscall.ENOSYS }
