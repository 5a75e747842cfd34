package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/config"
)

// configOf returns what a command line of relayd run and an environment say.
func configOf(t *testing.T, env map[string]string, args ...string) (*config.Config, *config.Problems, error) {
	t.Helper()
	var f runFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.add(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	err := fromEnvironment(set, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return f.configure(set)
}

// writeConfig writes a file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relayd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The defaults of the flags are those of the file: what a flag sets to its own
// default is as if it were not given.
func TestFlagDefaultsAreTheFiles(t *testing.T) {
	plain, _, err := configOf(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := plain.YAML(config.Style{})
	var f runFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.add(set)
	for _, k := range flagKeys {
		value := set.Lookup(k.flag).DefValue
		if value == "" {
			continue // nothing is the default
		}
		got, _, err := configOf(t, nil, "--"+k.flag, value)
		if err != nil {
			t.Errorf("--%s %s: %v", k.flag, value, err)
			continue
		}
		if got.YAML(config.Style{}) != want {
			t.Errorf("--%s %s is not the file's default:\n%s", k.flag, value, got.YAML(config.Style{}))
		}
		if o := got.Origin(k.key); o.Flag != "--"+k.flag {
			t.Errorf("--%s: %s comes from %v", k.flag, k.key, o)
		}
	}
}

// No flag of run is without a key of the file, but that which names the file.
func TestFlagsHaveKeys(t *testing.T) {
	var f runFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.add(set)
	set.VisitAll(func(flag *pflag.Flag) {
		known := flag.Name == "config" || flag.Name == "sandbox-path" || slices.Contains(routeFlags, flag.Name)
		for _, k := range flagKeys {
			known = known || k.flag == flag.Name
		}
		if !known {
			t.Errorf("--%s has no key: add it to flagKeys", flag.Name)
		}
	})
}

const oneRoute = `version: 1
listeners: {web: {on: 127.0.0.1:80, route: web}}
routes: {web: {upstream: web, timeouts: {idle: 1h}}}
upstreams: {web: {targets: [10.0.0.1:80]}}
timeouts: {connect: 1s, idle: 2s, linger: 4s}
`

// Flag, then environment, then file, then default.
func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	path := writeConfig(t, oneRoute)
	env := map[string]string{"RELAYD_CONNECT_TIMEOUT": "20s", "RELAYD_IDLE_TIMEOUT": "20s", "RELAYD_CONFIG": path}
	c, _, err := configOf(t, env, "--connect-timeout", "30s")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct{ value, origin string }{
		"connect":     {c.Timeouts.Connect.String() + "=30s", "flag --connect-timeout"},
		"idle":        {c.Timeouts.Idle.String() + "=20s", "environment RELAYD_IDLE_TIMEOUT"},
		"linger":      {c.Timeouts.Linger.String() + "=4s", path + ":5"},
		"half-closed": {c.Timeouts.HalfClosed.String() + "=5m", "default"},
	} {
		if got, want, _ := strings.Cut(want.value, "="); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
		if o := c.Origin("timeouts." + key).String(); o != want.origin {
			t.Errorf("%s comes from %s, want %s", key, o, want.origin)
		}
	}
	// What a route says itself is another key.
	if r := c.Routes[0].Timeouts; r.Idle.String() != "1h" || r.Connect.String() != "30s" {
		t.Errorf("the route has idle %v, connect %v", r.Idle.String(), r.Connect.String())
	}
}

// The route of a command line and those of a file do not go together; with a file
// that has none the command line makes it.
func TestRouteFlagsWithFile(t *testing.T) {
	own := writeConfig(t, oneRoute)
	for _, flag := range []string{"--listen=:81", "--to=echo:", "--up=gzip", "--down=gzip", "--wrap=zstd", "--unwrap=zstd", "--at=plain"} {
		_, _, err := configOf(t, nil, "-c", own, flag)
		name, _, _ := strings.Cut(flag, "=")
		var exit *exitError
		if !errors.As(err, &exit) || exit.code != exitUsage || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if _, _, err := configOf(t, map[string]string{"RELAYD_TO": "echo:"}, "-c", own); err == nil || !strings.Contains(err.Error(), "RELAYD_TO") {
		t.Errorf("RELAYD_TO: %v", err)
	}
	common := writeConfig(t, "version: 1\nlog: {format: json}\n")
	c, _, err := configOf(t, nil, "-c", common, "-t", "10.0.0.1:1")
	if err != nil || c.Log.Format != "json" || c.Upstreams[0].Targets[0].Address.String() != "tcp://10.0.0.1:1" || c.Listeners[0].On.String() != "tcp://127.0.0.1:7000" {
		t.Errorf("%v: %s", err, c.YAML(config.Style{Given: true}))
	}
	if _, _, err := configOf(t, nil, "-c", common); err == nil {
		t.Error("a file without listeners runs")
	}
}

// from-flags: the file that is printed says what the command line says.
func TestFromFlags(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"-l", ":80", "-l", "/run/s?mode=0660", "-t", "db:5432"},
		{"--up", "gzip,limit:10k", "--down", `exec:"tr a-z A-Z"`, "--idle-timeout", "1h30m", "--linger", "0"},
		{"--wrap", "zstd,s2", "--at", "wire", "--up", "count", "--max-linger", "90s", "--log-level", "DEBUG", "--log-rate", "off", "--log-format", "json"},
		{"--unwrap", "zstd", "--admin", "none", "--admin-view", "/run/v?mode=0660", "--drain-timeout", "off", "--drain-spread", "1500ms"},
		{"--event-loop", "off", "--drop-policy", "trap", "--ready-file", "/tmp/a $HOME ${X} \x1b é", "--admin-token-file", "x"},
		{"--user", "1:2", "--nofile", "100", "--sandbox", "off", "--sandbox-path", "/a,b:rw", "--sandbox-path", "/c"},
		{"--event-loop", "3", "-l", "unix://@name", "-t", "exec:///bin/cat?arg=a%25b&arg=$$c"},
	} {
		want, _, err := configOf(t, nil, args...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		text := want.YAML(config.Style{Given: true})
		got, p, err := configOf(t, nil, "-c", writeConfig(t, text))
		if err != nil || len(p.List) > 0 {
			t.Errorf("%q: %v in\n%s", args, p, text)
			continue
		}
		if got.YAML(config.Style{}) != want.YAML(config.Style{}) {
			t.Errorf("%q is\n%swhich says\n%swant\n%s", args, text, got.YAML(config.Style{}), want.YAML(config.Style{}))
		}
		if again := got.YAML(config.Style{Given: true}); again != text {
			t.Errorf("%q: printed again it is\n%swant\n%s", args, again, text)
		}
	}
}

// A name that a file cannot say is an error: it was printed as another name.
func TestFromFlagsThatNoFileCanSay(t *testing.T) {
	for _, flag := range []string{"--ready-file=/tmp/\xff", "--sandbox-path=/\xff:rw", "--user=\xff", "--admin-token-file=\xff"} {
		for _, command := range []string{"from-flags", "print"} {
			var out bytes.Buffer
			root := newRootCommand()
			root.SetArgs([]string{"config", command, flag})
			root.SetOut(&out)
			root.SetErr(io.Discard)
			var exit *exitError
			name, _, _ := strings.Cut(flag, "=")
			if err := root.Execute(); !errors.As(err, &exit) || exit.code != exitUsage || !strings.Contains(err.Error(), name) || out.Len() > 0 {
				t.Errorf("%s %q: %v, and it prints\n%s", command, flag, err, &out)
			}
		}
	}
	set := []string{"-l", "/tmp/%FF", "--up", `tee:"/tmp/\\xff"`, "--ready-file", "/tmp/\uFFFD"}
	root := newRootCommand()
	root.SetArgs(append([]string{"config", "from-flags"}, set...))
	root.SetOut(io.Discard)
	if err := root.Execute(); err != nil {
		t.Error(err)
	}
}
