package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions(strings.Fields("--quick --rounds 5 --only ^rr --peers naive,socat --json a --svg b --keep"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !o.quick || o.rounds != 5 || o.json != "a" || o.svg != "b" || !o.keep || o.measure >= time.Second {
		t.Errorf("got %+v", o)
	}
	tools := toolbox{}
	rows, peers, err := o.choose(tools.rows(), tools.peers(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range rows {
		if !strings.HasPrefix(w.name, "rr") {
			t.Errorf("row %s was not asked for", w.name)
		}
	}
	if len(rows) != 4 {
		t.Errorf("there are %d rows, not 4", len(rows))
	}
	if got := names(peers); got != "direct, socat, naive" {
		t.Errorf("the peers are %s", got)
	}
}

func TestOptionsCarry(t *testing.T) {
	for in, want := range map[string]int64{"--carry 64MiB": 64 << 20, "--carry 1GiB": 1 << 30, "": 0} {
		if o, err := parseOptions(strings.Fields(in), nil); err != nil || o.carry != want {
			t.Errorf("%s: %d, %v", in, o.carry, err)
		}
	}
}

func TestOptionsWrong(t *testing.T) {
	for _, args := range []string{"--carry 5", "--carry 0MiB", "--rounds 0", "--time -1s", "--only (", "--slow", "all"} {
		if _, err := parseOptions(strings.Fields(args), nil); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	for _, args := range []string{"--only nothing", "--peers relayd,nobody"} {
		o, err := parseOptions(strings.Fields(args), nil)
		if err != nil {
			t.Fatal(err)
		}
		tools := toolbox{}
		if _, _, err := o.choose(tools.rows(), tools.peers(t.Context())); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	var b strings.Builder
	if _, err := parseOptions([]string{"--help"}, &b); !errors.Is(err, flag.ErrHelp) || !strings.Contains(b.String(), "--quick") {
		t.Errorf("--help: %v, %q", err, b.String())
	}
}

// The manual has all flags, and only those.
func TestUsageText(t *testing.T) {
	for line := range strings.Lines(usageText) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "--")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		if _, err := parseOptions([]string{"--" + name + "=nonsense"}, nil); err != nil && strings.Contains(err.Error(), "not defined") {
			t.Error(err)
		}
	}
}

// The stream module is where nginx says, if it is not built in.
func TestStreamModule(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ngx_stream_module.so")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, build string
		want        string
		ok          bool
	}{
		{"built in", "configure arguments: --with-threads --with-stream", "", true},
		{"a file", "--modules-path=" + dir + " --with-stream=dynamic", file, true},
		{"a file below the prefix", "--prefix=" + filepath.Dir(dir) + " --modules-path=" + filepath.Base(dir) + " --with-stream=dynamic", file, true},
		{"a file that is not installed", "--modules-path=" + dir + "/x --with-stream=dynamic", "", false},
		{"none", "--with-stream_ssl_module", "", false},
	}
	for _, tt := range tests {
		got, err := streamModule(tt.build)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}
