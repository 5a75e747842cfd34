package main

import (
	"time"

	"github.com/spf13/pflag"
)

// The timerFlags bound what a conn may wait for. On the command line 0 and off
// are no bound.
type timerFlags struct {
	connect, idle, halfClosed, writeStall timeout
	linger, maxLinger, maxLifetime        timeout
}

func (f *timerFlags) add(set *pflag.FlagSet) {
	f.connect = timeout(10 * time.Second)
	f.halfClosed = timeout(5 * time.Minute)
	f.writeStall = timeout(15 * time.Minute)
	f.linger = timeout(2 * time.Second)
	f.maxLinger = f.writeStall

	set.Var(&f.connect, "connect-timeout", "give up dialling after `TIME`; 0 or off never does")
	set.Var(&f.idle, "idle-timeout", "reset a conn in which nothing has moved for `TIME`")
	set.Var(&f.halfClosed, "half-closed-timeout", "the same, after one side has finished: `TIME` from the last byte or the FIN")
	set.Var(&f.writeStall, "write-stall-timeout", "reset a conn when a peer takes nothing of what waits for it for `TIME`")
	set.Var(&f.linger, "linger", "at the end, give a peer `TIME` to take the rest, anew whenever it takes some")
	set.Var(&f.maxLinger, "max-linger", "and all in all `TIME`; as long as write-stall-timeout unless given")
	set.Var(&f.maxLifetime, "max-lifetime", "reset a conn `TIME` after its accept, whatever it does")
}
