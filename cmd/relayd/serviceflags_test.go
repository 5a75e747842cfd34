package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"relayd/socket"
)

func TestFileCount(t *testing.T) {
	for text, want := range map[string]string{"auto": "auto", "64": "64", "100000": "100000"} {
		var n fileCount
		if err := n.Set(text); err != nil || n.String() != want {
			t.Errorf("%s: %s, %v", text, n.String(), err)
		}
	}
	for _, text := range []string{"", "0", "63", "-1", "many", "4294967296"} {
		if err := new(fileCount).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestSandboxPaths(t *testing.T) {
	var p sandboxPaths
	for _, text := range []string{"/a", "/b:r", "/c:rw", "/d:rx", "/e:f:rwx"} {
		if err := p.Set(text); err != nil {
			t.Error(err)
		}
	}
	if got, want := fmt.Sprint(p.Needs), "{[/a /b /c /d /e:f] [/c /e:f] [/d /e:f] []}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := p.String(); got != "/a,/b:r,/c:rw,/d:rx,/e:f:rwx" {
		t.Error(got)
	}
	for _, text := range []string{"", ":rw", "/a:", "/a:w", "/a:b"} {
		if err := p.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// Whatever a command line names is among its needs.
func TestConfigNeeds(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "x")
	if err := os.WriteFile(script, []byte("#! /bin/sh -e\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		address         string
		listen          bool
		want            string // of Read, Write, Exec and Create
		names, programs bool
	}{
		{"127.0.0.1:80", true, "{[] [] [] []}", false, false},
		{":80", true, "{[] [] [] []}", false, false},
		{"localhost:80", true, "{[] [] [] []}", true, false},
		{"/run/x/s", true, "{[] [] [] [/run/x]}", false, false},
		{"unix://@s", true, "{[] [] [] []}", false, false},
		{"systemd://s", true, "{[] [] [] []}", false, false},
		{"/run/x/s", false, "{[] [] [] []}", false, false},
		{"far:80", false, "{[] [] [] []}", true, false},
		{"[fe80::1%25eth0]:80", false, "{[] [] [] []}", false, false},
		{"exec://" + script, false, "{[] [] [" + script + " /bin/sh] []}", false, true},
	}
	for _, tt := range tests {
		a, err := socket.ParseAddress(tt.address)
		if err != nil {
			t.Errorf("%s: %v", tt.address, err)
			continue
		}
		var n configNeeds
		if tt.listen {
			n.addListener(a)
		} else {
			n.addUpstream(a)
		}
		if got := fmt.Sprint(n.Needs); got != tt.want || n.names != tt.names || n.programs != tt.programs {
			t.Errorf("%s: %s, names %v, programs %v", tt.address, got, n.names, n.programs)
		}
	}
	var up []string
	for _, text := range []string{"tee:tcp://far:1", "tee:exec://" + script, "pcapng:" + dir + "/%c/x"} {
		up = append(up, "--up", text)
	}
	conf, _, err := configOf(t, nil, append(up, "--ready-file", "/ready/file", "--admin-token-file", "/token", "--admin", "/adm/s")...)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := conf.Relay()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConfinement(conf, &rc, adminOf(conf), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := c.needs()
	if got, want := fmt.Sprint(n.Create), fmt.Sprintf("[%s /adm /ready]", dir); got != want || !n.names || !n.programs {
		t.Errorf("%s, want %s; %+v", got, want, n)
	}
}
