//go:build !linux

package socket

func openSockets() ([]openSocket, error) { return nil, ErrNoCensus }

func inodeOf(int) (uint64, bool) { return 0, false }

func (openSocket) counts() bool { return false }

func (openSocket) stray() Stray { return Stray{} }
