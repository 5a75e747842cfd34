package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

// An eventLoops is how many event loops relay plain bytes: auto, off, or a
// number.
type eventLoops int

const (
	autoLoops eventLoops = 0
	noLoops   eventLoops = -1
	maxLoops             = 1024
)

func (e *eventLoops) Set(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case s == "auto":
		*e = autoLoops
	case s == "off":
		*e = noLoops
	case err == nil && n > 0 && n <= maxLoops:
		*e = eventLoops(n)
	default:
		return fmt.Errorf("%q is not auto, off, or a number of loops from 1 to %d", s, maxLoops)
	}
	return nil
}

func (e *eventLoops) String() string {
	switch *e {
	case autoLoops:
		return "auto"
	case noLoops:
		return "off"
	}
	return strconv.Itoa(int(*e))
}

func (e *eventLoops) Type() string { return "number" }

// count returns how many loops to start: one for each processor. They wait
// beside the Go scheduler, which needs a processor more for everything else;
// whoever sets GOMAXPROCS has a word in that, and then the loops get one less.
func (e eventLoops) count() int {
	n := int(e)
	if e == noLoops {
		return n
	}
	processors := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") != "" {
		if e == autoLoops {
			n = max(1, processors-1)
		}
		return n
	}
	if e == autoLoops {
		n = processors
	}
	runtime.GOMAXPROCS(max(processors, n+1))
	return n
}

// tuneMemory makes the collector run more often than Go's default has it,
// unless GOGC says something: a relay has many small objects that stay, and
// little garbage, so that what this costs in time is little, too.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

const gcPercent = 30
