package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"relayd/cmd/relayd/internal/config"
	"relayd/cmd/relayd/internal/privilege"
	"relayd/cmd/relayd/internal/sandbox"
	"relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// A confinement is what relayd gives up once everything is open and before it
// accepts: being root, and all files that it does not work with.
type confinement struct {
	conf    *config.Config
	relay   *relay.Config
	admin   *adminFlags
	paths   sandboxPaths
	account privilege.Account // the zero one: whoever we are
	log     *slog.Logger
	report  *sandbox.Report // of what there is after apply
}

// newConfinement prepares it: what can be wrong with the configuration is wrong
// before anything is opened. Sockets of r and a that have no owner become the
// account's.
func newConfinement(conf *config.Config, r *relay.Config, a *adminFlags, log *slog.Logger) (*confinement, error) {
	c := &confinement{conf: conf, relay: r, admin: a, log: log}
	for _, p := range conf.Sandbox.Paths {
		if err := c.paths.Set(string(p)); err != nil {
			return nil, &exitError{code: exitUsage, err: err}
		}
	}
	if conf.User == "" {
		return c, nil
	}
	var err error
	if c.account, err = privilege.Lookup(string(conf.User)); err != nil {
		return nil, &exitError{code: exitFailure, err: fmt.Errorf("--%w", err)}
	}
	for i := range r.Listeners {
		c.own(&r.Listeners[i].Address)
	}
	for _, p := range []*adminPlace{&a.at, &a.view} {
		if p.chosen && !p.none {
			c.own(&p.address)
		}
	}
	return c, nil
}

// own makes the account the owner of a socket file, unless it is to be
// somebody's.
func (c *confinement) own(a *socket.Address) {
	if a.Kind == socket.Unix && !a.Abstract && c.account.Name != "" {
		*a = a.WithDefault("owner", c.account.Owner())
	}
}

// apply gives it all up.
func (c *confinement) apply() error {
	if c.account.Name != "" {
		if err := c.account.Become(); err != nil {
			e := &exitError{code: exitFailure, err: err}
			if errors.Is(err, privilege.ErrNotRoot) {
				e.hint = "start relayd as root, or leave --user out: systemd has User= in its units"
			}
			return e
		}
		c.log.Info("user", "name", c.account.Name, "uid", c.account.UID, "gid", c.account.GID, "groups", c.account.Groups, "no_new_privs", true)
	}
	return c.restrict()
}

// errNoSandbox is that --sandbox on was asked for in vain.
var errNoSandbox = errors.New("--sandbox on: files cannot be restricted")

// restrict takes files away, as far as the flags want it.
func (c *confinement) restrict() error {
	n := c.needs()
	for _, r := range c.relay.Routes {
		n.addModules(r.Up.Needs())
		n.addModules(r.Down.Needs())
	}
	mode := string(c.conf.Sandbox.Mode)
	switch {
	case mode == sandboxOff:
		c.report = &sandbox.Report{Unrestricted: "--sandbox off"}
		c.log.Info("sandbox", "", c.report)
		return nil
	case mode == sandboxTry && n.programs && len(c.paths.list) == 0:
		// It is no business of ours what they work with, and what works without
		// a sandbox has to work with the default.
		c.report = &sandbox.Report{Unrestricted: "exec runs programs, whose files are not known: name them with --sandbox-path, or say --sandbox on"}
		c.log.Info("sandbox", "", c.report)
		return nil
	}
	var err error
	c.report, err = sandbox.Apply(n.Needs)
	switch {
	case mode == sandboxOn && err != nil:
		return &exitError{code: exitFailure, err: fmt.Errorf("%w: %w", errNoSandbox, err)}
	case mode == sandboxOn && !c.report.Restricted():
		return &exitError{code: exitFailure, err: fmt.Errorf("%w: %s", errNoSandbox, c.report.Unrestricted),
			hint: "--sandbox try goes on without"}
	case err != nil:
		c.log.Warn("sandbox", "", c.report)
	default:
		c.log.Info("sandbox", "", c.report)
	}
	for _, path := range c.paths.Read {
		if slices.Contains(c.report.Missing, path) {
			c.log.Warn("a path of --sandbox-path is not there, and stays out of reach when it comes", "path", path)
		}
	}
	return nil
}

// allows returns why a stage cannot come to a process that is restricted, or nil.
func (c *confinement) allows(s transform.Stage) error {
	var n configNeeds
	n.addStages(s.Needs())
	if n.names {
		n.Add(sandbox.Names())
	}
	return c.report.Covers(n.Needs)
}
