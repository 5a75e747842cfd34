package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"relayd/lifetime"
	"relayd/socket"
	"relayd/transform"
)

// runFlags are the flags of relayd run.
type runFlags struct {
	config       string
	listen       addressList
	to           socket.Address
	up, down     chainFlag
	wrap, unwrap chainFlag
	at           choice // the side of the tunnel that up and down stand on
	key, peerKey string
	timers       timerFlags
	drainTimeout timeout
	drainSpread  timeout
	dropPolicy   lifetime.Policy
	eventLoop    eventLoops
	readyFile    string
	logFormat    choice
	logLevel     logLevel
	logOf        logFlags
	admin        adminFlags
	service      serviceFlags
}

// add puts the flags into set, with their defaults.
func (f *runFlags) add(set *pflag.FlagSet) {
	f.listen = addressList{list: []socket.Address{mustAddress("127.0.0.1:7000")}}
	f.to = mustAddress("echo:")
	f.drainTimeout = timeout(30 * time.Second)
	f.logFormat = choice{value: "text", of: []string{"text", "json"}}
	f.at = choice{value: transform.Plain, of: []string{transform.Plain, transform.Wire}}

	set.StringVarP(&f.config, "config", "c", "", "read the configuration in `FILE`; flags and RELAYD_ variables are stronger")
	set.VarP(&f.listen, "listen", "l", "accept connections at `ADDRESS`; repeatable")
	set.VarP(&f.to, "to", "t", "relay them to `ADDRESS`")
	set.Var(&f.up, "up", "send what the client sends through `STAGE`; repeatable, in order")
	set.Var(&f.down, "down", "send what the upstream sends through `STAGE`; repeatable, in order")
	set.Var(&f.wrap, "wrap", "be the near end of a tunnel: encode up and decode down by `STAGE`; repeatable")
	set.Var(&f.unwrap, "unwrap", "be the far end of the tunnel that --wrap `STAGE` makes; repeatable")
	set.Var(&f.at, "at", "with --wrap or --unwrap, put the stages of --up and --down at `SIDE`: plain or wire")
	set.StringVar(&f.key, "key", "", "encrypt the tunnel of --wrap or --unwrap by the key in `FILE`; see relayd keygen")
	set.StringVar(&f.peerKey, "peer-key", "", "the other end's public `KEY`, or a file with it, if --key is an end's own")
	f.timers.add(set)
	set.Var(&f.drainTimeout, "drain-timeout", "after TERM or INT, wait `TIME` for live conns; 0 or off waits for ever")
	set.Var(&f.drainSpread, "drain-spread", "and then cut those that are left one by one over `TIME`; off cuts them at once")
	set.Var(&f.dropPolicy, "drop-policy", "drop accepted sockets under `POLICY`: refcount, trap, close-children or block")
	set.Var(&f.eventLoop, "event-loop", "relay plain bytes on event loops: auto, off, or a `NUMBER` of them")
	f.admin.add(set)
	set.StringVar(&f.readyFile, "ready-file", "", "write the addresses listened on to `FILE`, one a line, when accepting")
	set.Var(&f.logFormat, "log-format", "write the log as `FORMAT`: text or json")
	set.TextVar(&f.logLevel, "log-level", logLevel{slog.LevelInfo}, "log at `LEVEL` and above: debug, info, warn or error")
	f.logOf.add(set)
	f.service.add(set)
}

func mustAddress(s string) socket.Address {
	a, err := socket.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// fromEnvironment sets the flags that the command line left alone.
func fromEnvironment(set *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var first error
	set.VisitAll(func(f *pflag.Flag) {
		name := "RELAYD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := lookup(name)
		if !ok || f.Changed || f.Name == "help" || first != nil {
			return
		}
		if err := set.Set(f.Name, value); err != nil {
			first = fmt.Errorf("environment variable %s: %w", name, err)
			return
		}
		first = set.SetAnnotation(f.Name, fromVariable, []string{name})
	})
	return first
}

// An addressList is a repeatable address. The first one given replaces the
// default.
type addressList struct {
	list []socket.Address
	set  bool
}

func (l *addressList) Set(s string) error {
	a, err := socket.ParseAddress(s)
	if err != nil {
		return err
	}
	if !l.set {
		l.list, l.set = nil, true
	}
	l.list = append(l.list, a)
	return nil
}

func (l *addressList) String() string {
	texts := make([]string, len(l.list))
	for i, a := range l.list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

func (l *addressList) Type() string { return "address" }

// A chainFlag is a repeatable stage.
type chainFlag transform.Chain

func (c *chainFlag) Set(s string) error {
	stages, err := transform.ParseChain(s)
	*c = append(*c, stages...)
	return err
}

func (c *chainFlag) String() string { return transform.Chain(*c).String() }
func (c *chainFlag) Type() string   { return "stage" }

// A timeout is a duration of which 0, also spelled off, is none.
type timeout time.Duration

func (t *timeout) Set(s string) error {
	if s == "off" || s == "0" {
		*t = 0
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time: write 500ms, 30s, 5m, 1h30m, or off", s)
	}
	*t = timeout(d)
	return nil
}

func (t *timeout) String() string {
	if *t == 0 {
		return "off"
	}
	return time.Duration(*t).String()
}

func (t *timeout) Type() string { return "time" }

// A choice is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) Set(s string) error {
	for _, w := range c.of {
		if s == w {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(c.of, ", "))
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "word" }
