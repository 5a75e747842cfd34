//go:build !linux

package socket

import "time"

// There is no poller here; StartLoops says so.
type poller struct{}

func (p *poller) open() error                              { return ErrNoLoops }
func (p *poller) close()                                   {}
func (p *poller) add(fd int, slot, generation int32) error { return ErrNoLoops }
func (p *poller) addListener(fd int, number int32) error   { return ErrNoLoops }
func (p *poller) remove(fd int)                            {}
func (p *poller) wake()                                    {}
func (p *poller) look() int                                { return 0 }
func (p *poller) waitBriefly(until time.Time) int          { return 0 }
func (p *poller) wait(until time.Time) int                 { return 0 }
func (p *poller) dispatch(l *Loop, n int)                  {}
