package relay

import (
	"cmp"
	"time"

	"relayd/socket"
)

// Timeouts bound what a conn may wait for. In each, zero means the default, and
// negative that there is no such bound. All but Connect, Linger and MaxLinger
// are looked at about once a second, more often if they are short: they never
// end a conn too early, and at most two such steps too late.
//
// Progress is a byte read, a byte written, or a fall of the kernel's send queue:
// a peer that takes what it was sent lives, however slowly. Only MaxLifetime
// ends a conn that makes progress.
//
// A conn that is ended by Idle, HalfClosed, WriteStall or MaxLifetime is shut
// down: both peers see a reset, because an end that neither of them sent would
// be a lie.
type Timeouts struct {
	// Connect bounds dialling. The default is 10s.
	Connect time.Duration
	// Idle bounds how long neither direction makes progress. By default there
	// is no bound.
	Idle time.Duration
	// HalfClosed is as Idle, from the first FIN on. The default is 5m.
	HalfClosed time.Duration
	// WriteStall bounds how long bytes that were read wait to be written
	// without progress. The default is 15m. Unless an address says otherwise,
	// TCP_USER_TIMEOUT is 30s more: the kernel gives up later than we do, who
	// know more.
	WriteStall time.Duration
	// Linger bounds how long, after the end, a peer may take none of what was
	// sent to it. The default is 2s.
	Linger time.Duration
	// MaxLinger bounds all of that time. The default is WriteStall.
	MaxLinger time.Duration
	// MaxLifetime bounds a conn's life from its accept. By default there is no
	// bound.
	MaxLifetime time.Duration
	// Drain bounds how long conns go on whose route a reload has removed with
	// [DrainConns]. The default is 30s.
	Drain time.Duration
}

// The defaults.
const (
	defaultConnect    = 10 * time.Second
	defaultHalfClosed = 5 * time.Minute
	defaultWriteStall = 15 * time.Minute
	defaultLinger     = 2 * time.Second
	defaultDrain      = 30 * time.Second
	none              = time.Duration(-1)
)

// complete returns t with its defaults.
func (t Timeouts) complete() Timeouts {
	t.Connect = cmp.Or(t.Connect, defaultConnect)
	t.Idle = cmp.Or(t.Idle, none)
	t.HalfClosed = cmp.Or(t.HalfClosed, defaultHalfClosed)
	t.WriteStall = cmp.Or(t.WriteStall, defaultWriteStall)
	t.Linger = cmp.Or(t.Linger, defaultLinger)
	t.MaxLinger = cmp.Or(t.MaxLinger, t.WriteStall)
	t.MaxLifetime = cmp.Or(t.MaxLifetime, none)
	t.Drain = cmp.Or(t.Drain, defaultDrain)
	return t
}

// userTimeoutMargin is how much later than we the kernel gives up.
const userTimeoutMargin = 30 * time.Second

// onto adds to an address what depends on the timeouts.
func (t Timeouts) onto(a socket.Address) socket.Address {
	switch {
	case t.WriteStall == defaultWriteStall:
		return a // it is the address's own default
	case t.WriteStall < 0:
		return a.WithDefault("user_timeout", "off")
	}
	return a.WithDefault("user_timeout", (t.WriteStall + userTimeoutMargin).String())
}

// The time between two looks at all conns.
const (
	minSweep = 10 * time.Millisecond
	maxSweep = time.Second
)

// sweep returns how often to look: so often that the shortest bound is exceeded
// by a quarter at most.
func (t Timeouts) sweep() time.Duration {
	every := maxSweep
	for _, d := range []time.Duration{t.Idle, t.HalfClosed, t.WriteStall, t.MaxLifetime} {
		if d > 0 {
			every = min(every, d/8)
		}
	}
	return max(every, minSweep)
}
