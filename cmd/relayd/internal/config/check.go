package config

// What does not fit together, although each part of it is right by itself.

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"relayd/relay"
	"relayd/socket"
)

// Check finishes the configuration: routes take from the timeouts at the top
// what they leave out. It adds to p what does not fit together, and what nothing
// leads to, as a warning. It is called once all that is set has been set.
func (c *Config) Check(p *Problems) {
	c.inherit()
	k := &checker{config: c, problems: p}
	if len(c.Listeners) == 0 && p.Errors() == 0 {
		k.complain(Origin{File: c.File, Line: 1, Column: 1}, "listeners", "there is none: nothing would be relayed")
	}
	k.references()
	for _, l := range c.Listeners {
		k.listener(l, below("listeners", l.Name))
	}
	for _, r := range c.Routes {
		k.route(r, below("routes", r.Name))
	}
	for _, u := range c.Upstreams {
		k.upstream(u, below("upstreams", u.Name))
	}
	k.admin()
	k.conflicts()
	if n := c.Limits.NoFile; n != 0 && n < minFiles {
		const path = "limits.nofile"
		k.complain(k.at(path), path, "%d is not enough for relayd and a few conns: write %d or more, or auto", n, minFiles)
	}
	p.sort()
}

// tlsPreface is the default of preface-timeout where TLS ends: a handshake takes
// round trips, and what is lost is sent again a second later.
const tlsPreface = Duration(10 * time.Second)

// inherit gives routes the timeouts that they do not set, and listeners with TLS
// theirs.
func (c *Config) inherit() {
	for _, l := range c.Listeners {
		_, given := c.origins[below(below("listeners", l.Name), "preface-timeout")]
		if !given && (l.TLS != nil || l.On.Kind == socket.TLS) {
			l.PrefaceTimeout = tlsPreface
		}
	}
	fields := fieldsOf(reflect.TypeFor[Timeouts]())
	top := reflect.ValueOf(&c.Timeouts).Elem()
	if _, given := c.origins["timeouts.max-linger"]; !given {
		c.Timeouts.MaxLinger = c.Timeouts.WriteStall
	}
	for _, r := range c.Routes {
		path := below(below("routes", r.Name), "timeouts")
		own := reflect.ValueOf(&r.Timeouts).Elem()
		for _, f := range fields {
			if _, given := c.origins[below(path, f.key)]; !given {
				own.Field(f.index).Set(top.Field(f.index))
			}
		}
		_, here := c.origins[below(path, "max-linger")]
		if _, above := c.origins["timeouts.max-linger"]; !here && !above {
			r.Timeouts.MaxLinger = r.Timeouts.WriteStall
		}
	}
}

// minFiles is how many descriptors relayd takes with a few conns.
const minFiles = 64

type checker struct {
	config   *Config
	problems *Problems
}

func (k *checker) complain(at Origin, path, format string, args ...any) {
	k.problems.add(Problem{At: at, Path: path, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) warn(at Origin, path, format string, args ...any) {
	k.problems.add(Problem{At: at, Path: path, Text: fmt.Sprintf(format, args...), Warning: true})
}

// at returns where a key is, or else what is above it.
func (k *checker) at(path string) Origin {
	for {
		if o, ok := k.config.origins[path]; ok {
			return o
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return Origin{File: k.config.File}
		}
		path = path[:i]
	}
}

// broken reports whether there is an error at a path, at a key below it, or in the
// file as a whole: what follows from that is no other error. Once they are no longer
// kept nobody knows.
func (k *checker) broken(path string) bool {
	return k.problems.More > 0 || slices.ContainsFunc(k.problems.List, func(x Problem) bool {
		rest, found := strings.CutPrefix(x.Path, path)
		return !x.Warning && (x.Path == "" || found && (rest == "" || rest[0] == '.' || rest[0] == '['))
	})
}

// references follows the names.
func (k *checker) references() {
	c := k.config
	routes, upstreams := make(map[string]bool), make(map[string]bool) // whether anything leads there
	for _, r := range c.Routes {
		routes[r.Name] = false
	}
	for _, u := range c.Upstreams {
		upstreams[u.Name] = false
	}
	for _, l := range c.Listeners {
		path := below("listeners", l.Name)
		k.refer(string(l.Route), below(path, "route"), "route", routes)
		for i, m := range l.Match {
			k.refer(string(m.Route), below(item(below(path, "match"), i), "route"), "route", routes)
		}
	}
	for _, r := range c.Routes {
		path := below("routes", r.Name)
		k.refer(string(r.Upstream), below(path, "upstream"), "upstream", upstreams)
		if !routes[r.Name] {
			k.warn(k.at(path), path, "no listener leads to this route")
		}
	}
	for _, u := range c.Upstreams {
		if path := below("upstreams", u.Name); !upstreams[u.Name] {
			k.warn(k.at(path), path, "no route leads to this upstream")
		}
	}
}

// refer notes that something is used, or complains that it is not there.
func (k *checker) refer(name, path, what string, known map[string]bool) {
	if name == "" {
		return
	}
	if _, ok := known[name]; ok {
		known[name] = true
		return
	}
	var names []string
	for n := range known {
		names = append(names, n)
	}
	slices.Sort(names)
	hint := suggest(name, names)
	if hint == "" && len(names) > 0 && len(names) <= 8 {
		hint = "; there are " + strings.Join(names, ", ")
	}
	k.complain(k.at(path), path, "there is no %s %s%s", what, name, hint)
}

func (k *checker) listener(l *Listener, path string) {
	if l.Route == "" && len(l.Match) == 0 && !k.broken(path) {
		k.complain(k.at(path), path, "it leads nowhere: give it a route")
	}
	for i, m := range l.Match {
		if p := item(below(path, "match"), i); len(m.SNI)+len(m.ALPN) == 0 && !k.broken(p) {
			k.complain(k.at(p), p, "it has neither sni nor alpn: for all others there is the listener's route")
		}
	}
	if l.On.Kind == socket.Unix {
		for _, x := range []struct {
			key  string
			list []Prefix
		}{{"allow", l.Allow}, {"deny", l.Deny}} {
			if p := below(path, x.key); len(x.list) > 0 && len(l.ProxyFrom) == 0 {
				k.warn(k.at(p), p, "clients of a Unix socket have no IP address: the mode of its file says who may connect")
			}
		}
	}
	if l.TLS != nil || l.On.Kind == socket.TLS {
		k.tls(l, path)
	}
}

// tls checks the section, by what becomes of it, and that a match can fit: it goes
// by the protocol that was agreed on.
func (k *checker) tls(l *Listener, path string) {
	section := below(path, "tls")
	if l.On.Kind == 0 || k.broken(section) {
		return
	}
	a, err := l.address()
	if err != nil {
		k.complain(k.at(section), section, "%v", err)
		return
	}
	options, _ := url.ParseQuery(a.Options) // in its canonical form
	for i, m := range l.Match {
		list := below(item(below(path, "match"), i), "alpn")
		if k.broken(list) { // what could not be read is not in it: the places are others
			continue
		}
		for j, protocol := range m.ALPN {
			if p := item(list, j); !slices.Contains(options["alpn"], string(protocol)) {
				k.complain(k.at(p), p, "TLS ends here, and does not agree on %s: tls has no such alpn", protocol)
			}
		}
	}
}

func (k *checker) route(r *Route, path string) {
	k.stages(r.Up, below(path, "up"))
	k.stages(r.Down, below(path, "down"))
	if _, _, err := r.Chains(); err != nil {
		key := "wrap"
		switch {
		case errors.Is(err, ErrNoTunnel):
			key = "at"
		case len(r.Wrap) == 0:
			key = "unwrap"
		}
		p := below(path, key)
		k.complain(k.at(p), p, "%v", err)
	}
}

// stages finds those that package relay would refuse.
func (k *checker) stages(list []Stages, path string) {
	for i := range list {
		if err := relay.CheckChains(list[i].Chain); err != nil {
			p := item(path, i)
			k.complain(k.at(p), p, "%v", err)
		}
	}
}

func (k *checker) upstream(u *Upstream, path string) {
	seen := make(map[string]int)
	for i := range u.Targets {
		t := &u.Targets[i]
		name := string(t.Name)
		if name == "" {
			name = t.Address.String()
		}
		p := item(below(path, "targets"), i)
		if first, ok := seen[name]; ok && t.Address.Kind != 0 {
			k.complain(k.at(p), p, "it has the same name as targets[%d]: %s", first, show(name))
		}
		seen[name] = i
		k.port(u, t, below(p, "address"))
	}
	b, e := &u.Retry.Backoff, &u.Eject
	if p := path + ".retry.backoff.min"; b.Min > b.Max && b.Max != 0 {
		k.complain(k.at(p), p, "%s is more than max, %s", b.Min.String(), b.Max.String())
	}
	if p := path + ".eject.for"; e.For > e.MaxFor && e.MaxFor != 0 {
		k.complain(k.at(p), p, "%s is more than max-for, %s", e.For.String(), e.MaxFor.String())
	}
	if !k.broken(path) {
		if _, err := u.relay(k.config.Origin); err != nil { // what its package knows beside all this
			k.complain(k.at(path), path, "%v", err)
		}
	}
	for _, key := range []string{"send", "expect"} {
		p := path + ".check." + key
		if o, given := k.config.origins[p]; given && u.Check.Every == 0 {
			k.warn(o, p, "nothing is checked, because check.every is off")
		}
	}
}

// port looks whether the port of a target is in SRV records.
func (k *checker) port(u *Upstream, t *Target, path string) {
	if t.Address.Kind != socket.TCP {
		return
	}
	_, err := netip.ParseAddr(t.Address.Host)
	switch name := err != nil; {
	case !bool(u.Resolve.SRV) && t.Address.Port == 0:
		k.complain(k.at(path), path, "port 0 cannot be dialled: name the port that the target listens on")
	case bool(u.Resolve.SRV) && (t.Address.Port != 0 || !name):
		k.complain(k.at(path), path, "with resolve.srv a target is a name with port 0: tcp://_SERVICE._tcp.NAME:0")
	}
}

// admin checks what the admin API would refuse.
func (k *checker) admin() {
	a := &k.config.Admin
	for _, x := range []struct {
		path string
		at   *AdminAddress
	}{{"admin.listen", &a.Listen}, {"admin.view", &a.View}} {
		// Those of a command line are refused by the API itself, with a hint.
		if at := k.at(x.path); x.at.Kind == socket.TCP && a.TokenFile == "" && at.Line > 0 {
			k.complain(at, x.path, "over TCP there must be a token: write admin.token-file")
		}
	}
}
