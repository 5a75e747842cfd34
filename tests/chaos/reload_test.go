package chaos

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"relayd/relay"
	"relayd/relay/upstream"
	"relayd/socket"
)

// reload gives the relay a configuration that differs in what may differ.
func reload(e *episode, r *rand.Rand) int {
	c := e.config
	if e.plain {
		varyPlain(&c, r)
	} else {
		varyGeneral(&c, r)
	}
	c.Limits.MaxConns = 10_000 + r.IntN(3)
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if len(c.Listen)+len(c.Listeners) < len(e.entrances) {
		e.closed.Store(true) // before anybody may see it
	}
	change, err := e.relay.Reload(ctx, c)
	if err != nil {
		if socket.IsExhausted(err) {
			return 0
		}
		e.t.Errorf("reload: %v", err)
	}
	for _, w := range []struct {
		what string
		of   relay.Changes
	}{{"listeners", change.Listeners}, {"routes", change.Routes}, {"upstreams", change.Upstreams}} {
		e.tally.did("reloads: "+w.what+" added", len(w.of.Added))
		e.tally.did("reloads: "+w.what+" removed", len(w.of.Removed))
		e.tally.did("reloads: "+w.what+" changed", len(w.of.Changed))
	}
	e.tally.did("reloads: conns killed", change.Killed)
	e.tally.did("reloads: conns to drain", change.Draining)
	return 1
}

// varyPlain changes the plain form. The upstream is another one each time, for it is
// given another connect timeout; the chains are edited after that as before.
func varyPlain(c *relay.Config, r *rand.Rand) {
	if r.IntN(2) == 0 {
		c.Up, c.Down = edited(r, c.Up), edited(r, c.Down)
	}
	c.Timeouts.Connect += time.Duration(r.IntN(3)) * time.Millisecond
	c.Listen = slices.Clone(c.Listen)
	if len(c.Listen) == 1 {
		return
	}
	switch r.IntN(3) {
	case 0:
		c.Listen[0], c.Listen[1] = c.Listen[1], c.Listen[0]
	case 1:
		c.Listen = c.Listen[:1]
	}
}

// varyGeneral changes the general form: the gate and its route come and go, targets
// too, and what else can be changed.
func varyGeneral(c *relay.Config, r *rand.Rand) {
	c.Listeners, c.Routes, c.Upstreams = slices.Clone(c.Listeners), slices.Clone(c.Routes), slices.Clone(c.Upstreams)
	if r.IntN(3) == 0 {
		c.Listeners = slices.DeleteFunc(c.Listeners, func(l relay.Listener) bool { return l.Name == gateName })
		c.Routes = slices.DeleteFunc(c.Routes, func(r relay.Route) bool { return r.Name == gateName })
	}
	if r.IntN(3) == 0 {
		r.Shuffle(len(c.Listeners), func(i, j int) { c.Listeners[i], c.Listeners[j] = c.Listeners[j], c.Listeners[i] })
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.MaxConns > 0 {
			l.MaxConns += r.IntN(3)
		}
	}
	if r.IntN(3) == 0 {
		route := &c.Routes[r.IntN(len(c.Routes))]
		route.Up, route.Down = edited(r, route.Up), edited(r, route.Down)
		route.Timeouts.Connect += time.Duration(r.IntN(3)) * time.Millisecond
	}
	if r.IntN(2) == 0 {
		varyUpstream(&c.Upstreams[r.IntN(len(c.Upstreams))], r)
	}
}

// varyUpstream changes an upstream. One target stays.
func varyUpstream(u *upstream.Config, r *rand.Rand) {
	u.Targets = slices.Clone(u.Targets)
	if n := len(u.Targets); n > 1 && r.IntN(2) == 0 {
		u.Targets = slices.Delete(u.Targets, n-1, n)
	}
	t := &u.Targets[r.IntN(len(u.Targets))]
	switch r.IntN(3) {
	case 0:
		t.Weight = 1 + r.IntN(3)
	case 1:
		t.MaxConns = r.IntN(20)
	case 2:
		u.Balance = upstream.Balance(r.IntN(5))
	}
}

// setTarget puts a target down, has it drain, or leaves it to checks and dials again.
func setTarget(e *episode, r *rand.Rand) int {
	g := &e.groups[r.IntN(len(e.groups))]
	pool := e.relay.Upstream(g.name)
	name := pool.Config().Targets[0].Name
	if n := len(pool.Config().Targets); n > 1 {
		name = pool.Config().Targets[r.IntN(n)].Name
	}
	to := []upstream.State{upstream.Down, upstream.Draining, upstream.Up, upstream.Up}[r.IntN(4)]
	if len(pool.Config().Targets) == 1 && r.IntN(2) == 0 {
		to = upstream.Up // or little else would be seen than that no target is up
	}
	if err := pool.Set(name, to); err != nil {
		e.t.Errorf("target %s of %s: %v", name, g.name, err)
	}
	e.tally.did("targets set "+to.String(), 1)
	return 1
}

// rereadCertificates has the files of TLS looked at. They are as they were.
func rereadCertificates(e *episode, _ *rand.Rand) int {
	if err := socket.ReloadCertificates(); err != nil && !socket.IsExhausted(err) {
		e.t.Errorf("certificates: %v", err)
	}
	return 1
}
