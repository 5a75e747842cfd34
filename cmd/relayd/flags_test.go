package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/config"
)

func TestTimeoutFlag(t *testing.T) {
	tests := []struct {
		text   string
		want   time.Duration
		orOff  time.Duration // as configurations in Go have it
		string string
	}{
		{"30s", 30 * time.Second, 30 * time.Second, "30s"},
		{"1h30m", 90 * time.Minute, 90 * time.Minute, "1h30m0s"},
		{"0", 0, -1, "off"},
		{"off", 0, -1, "off"},
		{"0s", 0, -1, "off"},
	}
	for _, tt := range tests {
		var f timeout
		if err := f.Set(tt.text); err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if time.Duration(f) != tt.want || config.Duration(f).OrOff() != tt.orOff || f.String() != tt.string {
			t.Errorf("%s is %v, %v, %q", tt.text, time.Duration(f), config.Duration(f).OrOff(), f.String())
		}
		again := timeout(1)
		if err := again.Set(f.String()); err != nil || again != f {
			t.Errorf("%s: String is %q, which Set makes %v, %v", tt.text, f.String(), again, err)
		}
	}
	for _, bad := range []string{"", "-1s", "soon", "30"} {
		f := timeout(time.Second)
		if err := f.Set(bad); err == nil || f != timeout(time.Second) {
			t.Errorf("%q: %v, %v", bad, time.Duration(f), err)
		}
	}
}

func TestChoiceFlag(t *testing.T) {
	c := choice{value: "text", of: []string{"text", "json"}}
	if err := c.Set("xml"); err == nil || !strings.Contains(err.Error(), "text, json") || c.String() != "text" {
		t.Errorf("xml: %v, %v", c.String(), err)
	}
	if err := c.Set("json"); err != nil || c.String() != "json" {
		t.Errorf("json: %v, %v", c.String(), err)
	}
}

// parse parses a command line of relayd run, with the environment.
func parse(t *testing.T, env map[string]string, args ...string) (*runFlags, error) {
	t.Helper()
	var f runFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.add(set)
	if err := set.Parse(args); err != nil {
		return &f, err
	}
	return &f, fromEnvironment(set, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
}

func TestFlags(t *testing.T) {
	f, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.listen.String() != "tcp://127.0.0.1:7000" || f.to.String() != "echo:" || f.up.String() != "" ||
		f.timers.connect.String() != "10s" || f.drainTimeout.String() != "30s" || f.logFormat.String() != "text" {
		t.Errorf("the defaults are %+v", f)
	}

	// The first -l replaces the default, the second adds to it.
	f, err = parse(t, nil, "-l", ":1", "--listen", "/s", "--up", "gzip", "--up", "gunzip,gzip:level=9", "--down", "gzip:level=6")
	if err != nil {
		t.Fatal(err)
	}
	if f.listen.String() != "tcp://:1,unix:///s" || f.up.String() != "gzip,gunzip,gzip:level=9" || f.down.String() != "gzip" {
		t.Errorf("listen %v, up %v, down %v", f.listen.String(), f.up.String(), f.down.String())
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"RELAYD_LISTEN":          "127.0.0.1:1",
		"RELAYD_TO":              "discard:",
		"RELAYD_UP":              "gzip,gunzip",
		"RELAYD_DRAIN_TIMEOUT":   "off",
		"RELAYD_CONNECT_TIMEOUT": "1s",
		"RELAYD_READY_FILE":      "ready",
		"RELAYD_HELP":            "no word of ours",
		"DRAIN_TIMEOUT":          "7s",
	}
	f, err := parse(t, env, "--connect-timeout", "2s", "-t", "echo:")
	if err != nil {
		t.Fatal(err)
	}
	if f.listen.String() != "tcp://127.0.0.1:1" || f.up.String() != "gzip,gunzip" ||
		f.drainTimeout.String() != "off" || f.readyFile != "ready" {
		t.Errorf("the environment is not taken: %+v", f)
	}
	if f.timers.connect.String() != "2s" || f.to.String() != "echo:" {
		t.Errorf("the environment is stronger than flags: %v, %v", f.timers.connect, f.to)
	}

	for name, bad := range map[string]string{
		"RELAYD_LISTEN":        "nonsense",
		"RELAYD_DOWN":          "gzp",
		"RELAYD_LOG_FORMAT":    "xml",
		"RELAYD_DRAIN_TIMEOUT": "",
	} {
		if _, err := parse(t, map[string]string{name: bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v, without the variable's name", name, bad, err)
		}
	}
}
