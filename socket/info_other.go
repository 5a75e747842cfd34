//go:build !linux

package socket

// TCPInfo reports false: it is not known here.
func (s *Socket) TCPInfo() (info TCPInfo, ok bool) { return info, false }
