package main

// The command line and the configuration file say the same things, and run
// starts from one struct that both fill.

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/config"
)

// exitConfig is the exit code for a bad configuration file, as sysexits.h has it.
const exitConfig = 78

// flagKeys are the keys of the file that flags stand for. Those of the route are
// in routeFlags, and --sandbox-path, which is a list, is sandbox.paths.
var flagKeys = []struct{ flag, key string }{
	{"connect-timeout", "timeouts.connect"},
	{"idle-timeout", "timeouts.idle"},
	{"half-closed-timeout", "timeouts.half-closed"},
	{"write-stall-timeout", "timeouts.write-stall"},
	{"linger", "timeouts.linger"},
	{"max-linger", "timeouts.max-linger"},
	{"max-lifetime", "timeouts.max-lifetime"},
	{"drain-timeout", "drain.timeout"},
	{"drain-spread", "drain.spread"},
	{"drop-policy", "drop-policy"},
	{"event-loop", "event-loop"},
	{"admin", "admin.listen"},
	{"admin-view", "admin.view"},
	{"admin-token-file", "admin.token-file"},
	{"ready-file", "ready-file"},
	{"log-format", "log.format"},
	{"log-level", "log.level"},
	{"log-every", "log.every"},
	{"log-rate", "log.rate"},
	{"user", "user"},
	{"nofile", "limits.nofile"},
	{"sandbox", "sandbox.mode"},
}

// routeFlags are the flags that make the one route of a command line. They make
// its listeners, its route and its upstream, each called default. Those of keys
// are in the addresses then.
var routeFlags = []string{"listen", "to", "up", "down", "wrap", "unwrap", "at", "key", "peer-key"}

// defaultName is that of what the routeFlags make.
const defaultName = "default"

// configure returns what the file, if there is one, the environment and the
// flags say together, and warnings. Its error is that of the command.
func (f *runFlags) configure(set *pflag.FlagSet) (*config.Config, *config.Problems, error) {
	c, p := config.Default(), new(config.Problems)
	if f.config != "" {
		c, p = config.Load(f.config)
	}
	if err := f.routeInto(c, set); err != nil {
		return c, p, err
	}
	for _, k := range flagKeys {
		if !set.Changed(k.flag) {
			continue
		}
		text := set.Lookup(k.flag).Value.String()
		if k.flag == "log-level" {
			text = strings.ToLower(text) // slog writes INFO
		}
		if err := c.Set(originOf(set, k.flag), text, strings.Split(k.key, ".")...); err != nil {
			return c, p, fmt.Errorf("--%s: %w", k.flag, err)
		}
	}
	if set.Changed("sandbox-path") {
		c.Sandbox.Paths = nil // as a flag takes the place of any other key
		for i, path := range f.service.paths.list {
			if err := c.Set(originOf(set, "sandbox-path"), path, "sandbox", "paths", strconv.Itoa(i)); err != nil {
				return c, p, fmt.Errorf("--sandbox-path: %w", err)
			}
		}
	}
	c.Check(p)
	return c, p, f.configError(p)
}

// configError returns what ends the command if there are errors. Those of a file
// are told a line each before.
func (f *runFlags) configError(p *config.Problems) error {
	n := p.Errors()
	switch {
	case n == 0:
		return nil
	case f.config == "":
		return &exitError{code: exitUsage, err: p}
	case n == 1:
		return &exitError{code: exitConfig, err: fmt.Errorf("%s: 1 error", show(f.config)), lines: p.Error()}
	}
	return &exitError{code: exitConfig, err: fmt.Errorf("%s: %d errors", show(f.config), n), lines: p.Error()}
}

// show is a file's name as it is safe to print.
func show(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// routeInto puts the route of the command line into c. With a file that has
// routes there is none.
func (f *runFlags) routeInto(c *config.Config, set *pflag.FlagSet) error {
	var given []string
	for _, name := range routeFlags {
		if set.Changed(name) {
			given = append(given, name)
		}
	}
	switch own := len(c.Listeners)+len(c.Routes)+len(c.Upstreams) > 0; {
	case f.config != "" && len(given) == 0:
		return nil
	case f.config != "" && own:
		from := originOf(set, given[0])
		return &exitError{code: exitUsage, err: fmt.Errorf("%s: %s has listeners, routes or upstreams of its own", from, show(f.config)),
			hint: "leave the flag out, or keep them all on the command line; relayd config from-flags writes a command line as a file"}
	}
	if err := f.encrypt(); err != nil {
		return err
	}
	for _, a := range f.listen.list {
		if err := a.Listenable(); err != nil {
			return err
		}
	}
	if err := f.to.Dialable(); err != nil {
		return err
	}
	if err := f.defaultRoute(c, set); err != nil {
		return err
	}
	return tunnelError(c)
}

// defaultRoute makes the listeners, the route and the upstream.
func (f *runFlags) defaultRoute(c *config.Config, set *pflag.FlagSet) error {
	var err error
	put := func(flag, text string, keys ...string) {
		if e := c.Set(originOf(set, flag), text, keys...); e != nil && err == nil {
			err = fmt.Errorf("--%s: %w", flag, e)
		}
	}
	for i, a := range f.listen.list {
		name := defaultName
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		put("listen", a.String(), "listeners", name, "on")
		put("listen", defaultName, "listeners", name, "route")
	}
	put("to", defaultName, "routes", defaultName, "upstream")
	put("to", f.to.String(), "upstreams", defaultName, "targets", "0", "address")
	for _, stages := range []struct {
		flag string
		list chainFlag
	}{{"up", f.up}, {"down", f.down}, {"wrap", f.wrap}, {"unwrap", f.unwrap}} {
		for i, s := range stages.list {
			put(stages.flag, s.String(), "routes", defaultName, stages.flag, strconv.Itoa(i))
		}
	}
	put("at", f.at.value, "routes", defaultName, "at")
	return err
}

// tunnelError says what of --wrap and --unwrap makes no tunnel.
func tunnelError(c *config.Config) error {
	_, _, err := c.Routes[0].Chains()
	var bad *config.TunnelError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return &exitError{code: exitUsage, err: fmt.Errorf("--%s %s: %w", bad.Key, bad.List, bad.Err),
			hint: "relayd stages lists what has an inverse; --up and --down take any stage"}
	case errors.Is(err, config.ErrNoTunnel):
		return &exitError{code: exitUsage, err: errors.New("--at wire is a side of a tunnel, and there is neither --wrap nor --unwrap"),
			hint: "without them the order of the stages says it: --up zstd,limit:1M/s limits what travels"}
	case !errors.Is(err, config.ErrBothEnds):
		return &exitError{code: exitUsage, err: err}
	}
	return &exitError{code: exitUsage, err: errors.New("--wrap and --unwrap are the two ends of a tunnel, and this is one relay"),
		hint: "the near end has --wrap, the far end --unwrap, both with the same list"}
}

// fromVariable marks flags that the environment has set.
const fromVariable = "environment"

// originOf says where the value of a flag comes from.
func originOf(set *pflag.FlagSet, name string) config.Origin {
	flag := set.Lookup(name)
	switch {
	case len(flag.Annotations[fromVariable]) > 0:
		return config.Origin{Environment: flag.Annotations[fromVariable][0]}
	case flag.Changed:
		return config.Origin{Flag: "--" + name}
	}
	return config.Origin{}
}
