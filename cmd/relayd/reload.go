package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/config"
	"relayd/cmd/relayd/internal/metrics"
	"relayd/cmd/relayd/internal/notify"
	"relayd/relay"
	"relayd/socket"
)

// A reloader makes a running relayd follow its file: at HUP, or for who asks over
// the admin API. What is wrong changes nothing.
type reloader struct {
	read     func() (*config.Config, *config.Problems, error) // the file again, and the flags
	server   *relay.Server
	drainer  *drainer
	confined *confinement
	fixed    relay.Config // what of the relay's own cannot change
	manager  *notify.Manager
	log      *slog.Logger

	mu   sync.Mutex // one at a time
	conf *config.Config

	counted sync.Mutex
	tally   metrics.Reloads
}

// counts returns what has become of reloads. It does not wait for one.
func (r *reloader) counts() metrics.Reloads {
	r.counted.Lock()
	defer r.counted.Unlock()
	return r.tally
}

// count counts one.
func (r *reloader) count(err error) {
	r.counted.Lock()
	defer r.counted.Unlock()
	if r.tally.OK = err == nil; err != nil {
		r.tally.Failed++
		return
	}
	r.tally.Done++
	r.tally.Last = time.Now()
}

// reloadTime bounds what can take time in a reload that a signal asked for.
const reloadTime = time.Minute

// signalled reloads, and says in the log what came of it.
func (r *reloader) signalled() {
	ctx, stop := context.WithTimeout(context.Background(), reloadTime)
	defer stop()
	r.reload(ctx, false) // which logs
}

// reload is what the admin API calls.
func (r *reloader) reload(ctx context.Context, dryRun bool) (admin.Reload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server.Draining() {
		r.log.Warn("reload ignored", "why", "the relay is draining")
		return admin.Reload{}, relay.ErrDraining
	}
	if dryRun {
		_, _, change, err := r.follow(ctx, r.server.Compare)
		return admin.ReloadOf(r.conf.File, true, &change), err
	}
	r.tell(r.manager.Reloading())
	defer func() { r.tell(r.manager.Ready()) }()
	conf, warnings, change, err := r.follow(ctx, r.server.Reload)
	if err == nil && r.conf.File == "" {
		err = r.certificates()
	}
	r.count(err)
	if err != nil {
		r.log.Error("reload failed: nothing has changed", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
		return admin.Reload{}, err
	}
	if conf != nil {
		r.conf = conf
		r.drainer.settle(conf)
		r.say(&change, warnings)
		r.certificates() // which logs what is wrong: the file is in use
	}
	return admin.ReloadOf(r.conf.File, false, &change), nil
}

// follow reads the configuration and does with it what is to be done. Without a
// file there is nothing to do, and no configuration.
func (r *reloader) follow(ctx context.Context, do func(context.Context, relay.Config) (relay.Change, error)) (*config.Config, *config.Problems, relay.Change, error) {
	if r.conf.File == "" {
		return nil, nil, relay.Change{}, nil
	}
	// A pipe was read to its end at the start, and would be waited for without one.
	if info, err := os.Stat(r.conf.File); err == nil && !info.Mode().IsRegular() {
		return nil, nil, relay.Change{}, fmt.Errorf("%s: it is no regular file: it cannot be read again: restart relayd, or put a file there", show(r.conf.File))
	}
	conf, problems, err := r.read()
	if err != nil {
		return nil, nil, relay.Change{}, oneText(err)
	}
	if err := r.allows(conf); err != nil {
		return nil, nil, relay.Change{}, err
	}
	rc, err := conf.Relay()
	if err != nil {
		return nil, nil, relay.Change{}, err
	}
	rc.EventLoops, rc.Log, rc.MoveEvery = r.fixed.EventLoops, r.fixed.Log, r.fixed.MoveEvery
	if err := r.confined.covers(conf, &rc); err != nil {
		return nil, nil, relay.Change{}, err
	}
	change, err := do(ctx, rc)
	return conf, problems, change, err
}

// allows returns nil, or which keys have changed that cannot without a restart.
func (r *reloader) allows(conf *config.Config) error {
	var lines []string
	for _, x := range []struct {
		key      string
		was, now any
	}{
		{"limits.nofile", r.conf.Limits.NoFile, conf.Limits.NoFile},
		{"log", r.conf.Log, conf.Log},
		{"admin", r.conf.Admin, conf.Admin},
		{"sandbox", r.conf.Sandbox, conf.Sandbox},
		{"user", r.conf.User, conf.User},
		{"ready-file", r.conf.ReadyFile, conf.ReadyFile},
		{"event-loop", r.conf.EventLoop, conf.EventLoop},
		{"drop-policy", r.conf.DropPolicy, conf.DropPolicy},
	} {
		if !reflect.DeepEqual(x.was, x.now) {
			lines = append(lines, fmt.Sprintf("%s: %s: a reload cannot change it: restart relayd, or put it back", show(conf.File), x.key))
		}
	}
	if lines == nil {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// oneText is an error of the command line with the lines that it would print.
func oneText(err error) error {
	var exit *exitError
	if errors.As(err, &exit) && exit.lines != "" {
		return errors.New(exit.lines)
	}
	return err
}

// certificates reads them again: all that are in use.
func (r *reloader) certificates() error {
	err := socket.ReloadCertificates()
	if err == nil {
		r.log.Info("certificates reloaded")
		return nil
	}
	for line := range strings.Lines(err.Error()) { // one for each address
		r.log.Error("certificates not reloaded", "err", strings.TrimSuffix(line, "\n"))
	}
	return err
}

// say logs what a reload has changed.
func (r *reloader) say(change *relay.Change, warnings *config.Problems) {
	for _, p := range warnings.List {
		r.log.Warn("configuration", "warning", p.String())
	}
	args := []any{"file", r.conf.File}
	for _, x := range []struct {
		of string
		c  *relay.Changes
	}{{"listeners", &change.Listeners}, {"routes", &change.Routes}, {"upstreams", &change.Upstreams}} {
		args = append(args, slog.Group(x.of, "added", few(x.c.Added), "removed", few(x.c.Removed), "changed", few(x.c.Changed), "kept", len(x.c.Kept)))
	}
	r.log.Info("reloaded", append(args, "killed", change.Killed, "draining", change.Draining)...)
}

// maxNames is how many names of one sort a line has: readers of logs cut those
// that are too long, and a file may have thousands.
const maxNames = 20

// few returns so many of a list, and how many more there are.
func few(list []string) []string {
	if more := len(list) - maxNames; more > 0 {
		return append(slices.Clone(list[:maxNames]), fmt.Sprintf("and %d more", more))
	}
	return list
}

// tell logs why the manager could not be told.
func (r *reloader) tell(err error) {
	if err != nil {
		r.log.Warn("the service manager cannot be told of the reload", "err", err)
	}
}

// covers returns nil if a new configuration needs nothing that the process has
// given up. Sockets of rc that have no owner become the account's.
func (c *confinement) covers(conf *config.Config, rc *relay.Config) error {
	next := *c
	next.conf, next.relay = conf, rc
	for i := range rc.Listeners {
		next.own(&rc.Listeners[i].Address)
	}
	return c.report.Covers(next.needs().Needs)
}

// unchanging are the parts of a relay's configuration that it has for its life.
func unchanging(rc *relay.Config) relay.Config {
	return relay.Config{Policy: rc.Policy, EventLoops: rc.EventLoops, Log: rc.Log, MoveEvery: rc.MoveEvery}
}
