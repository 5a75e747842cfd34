package main

import (
	"fmt"
	"log/slog"
	"strconv"

	"github.com/spf13/pflag"
)

// The logFlags say what is logged of conns.
type logFlags struct {
	every timeout
	rate  lineRate
}

func (f *logFlags) add(set *pflag.FlagSet) {
	f.rate = 1000
	set.Var(&f.every, "log-every", "log a line about a conn that lives every `TIME` of its life, too; off by default")
	set.Var(&f.rate, "log-rate", "log at most `NUMBER` lines about conns a second, and the number of the rest; 0 or off logs all")
}

// A lineRate is a number of lines a second, of which 0, also spelled off, is no
// limit.
type lineRate int

const maxLineRate = 1e9

func (r *lineRate) Set(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case s == "off":
		n = 0
	case err != nil || n < 0 || n > maxLineRate:
		return fmt.Errorf("%q is not a number of lines a second, or off", s)
	}
	*r = lineRate(n)
	return nil
}

func (r *lineRate) String() string {
	if *r == 0 {
		return "off"
	}
	return strconv.Itoa(int(*r))
}

func (r *lineRate) Type() string { return "number" }

// A logLevel is a level of slog, and says which there are of one that is none.
type logLevel struct{ slog.Level }

func (l *logLevel) UnmarshalText(text []byte) error {
	if l.Level.UnmarshalText(text) != nil {
		return fmt.Errorf("%q is not a level: write debug, info, warn or error", text)
	}
	return nil
}
