package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"relayd/relay"
)

// What bounds the process, said once at the start, so that nobody has to find
// out by running into it.

// lowFiles is a number of descriptors that a busy relay is through with soon.
const lowFiles = 4096

// spareFiles are descriptors that conns do not get: for the log, the admin API,
// event loops and listeners.
const spareFiles = 32

// setFileLimit sets how many descriptors the process may have. At the start the
// Go runtime has raised that to the hard limit, for us and not for programs that
// we start; what is set here is for both.
func setFileLimit(n fileCount) error {
	if n == 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of descriptors: %w", os.NewSyscallError("getrlimit", err))
	}
	hard := limit.Max
	limit.Cur, limit.Max = uint64(n), max(hard, uint64(n))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return &exitError{code: exitFailure,
			err:  fmt.Errorf("--nofile %d: %w", n, os.NewSyscallError("setrlimit", err)),
			hint: fmt.Sprintf("the hard limit is %d: raise it with LimitNOFILE= in the unit or ulimit -Hn; root can up to fs.nr_open", hard)}
	}
	return nil
}

// logLimits writes what bounds the process.
func logLimits(c *relay.Config, log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of descriptors is not known", "err", err)
		return
	}
	room := int64(min(limit.Cur, math.MaxInt64))
	conns := max(0, (room-spareFiles)/2)
	log.Info("limits", "nofile", number(limit.Cur), "nofile_hard", number(limit.Max), "conns_by_nofile", conns,
		"max_conns", most(c.Limits.MaxConns), "max_per_source", most(c.Limits.MaxPerSource), "accept_rate", most(c.Limits.AcceptRate), "event_loops", max(0, c.EventLoops), "gomaxprocs", runtime.GOMAXPROCS(0),
		"gogc", gcTarget(), "memory", memoryLimit(), "backlog", kernelSetting("/proc/sys/net/core/somaxconn"))
	for i := range c.Listeners { // those that have some of their own
		if l := &c.Listeners[i]; l.MaxConns > 0 || l.MaxPerSource > 0 || l.AcceptRate > 0 || len(l.Allow)+len(l.Deny) > 0 {
			log.Info("limits", "listener", l.Name, "max_conns", most(l.MaxConns), "max_per_source", most(l.MaxPerSource),
				"accept_rate", most(l.AcceptRate), "allow", l.Allow, "deny", l.Deny)
		}
	}
	if room < lowFiles {
		log.Warn("few descriptors", "nofile", room, "conns_by_nofile", conns,
			"hint", "raise it with LimitNOFILE= in the unit, ulimit -n, or as root --nofile 100000")
	}
}

// most writes a bound, of which zero or less is none.
func most[T int | float64](n T) string {
	if n <= 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// number writes a limit, of which the largest is none.
func number(n uint64) string {
	if n > math.MaxInt64 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// gcTarget returns how much garbage there may be, in percent of what is live.
func gcTarget() string {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	if now < 0 {
		return "off"
	}
	return fmt.Sprint(now)
}

// memoryLimit returns the bound that GOMEMLIMIT sets, in bytes.
func memoryLimit() string {
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		return fmt.Sprint(n)
	}
	return "unlimited"
}

// kernelSetting reads a setting of the kernel.
func kernelSetting(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
