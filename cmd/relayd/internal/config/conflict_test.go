package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestConflicts(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{":80", ":80", true},
		{":80", ":81", false},
		{":80", "127.0.0.1:80", true},
		{"127.0.0.1:80", ":80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::]:80", true},
		{"[::]:80", "[::1]:80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "[::1]:80", false},
		{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"localhost:80", "localhost:80", true},
		{"localhost:80", "example.com:80", false},
		{":80?reuseport=true", ":80?reuseport=true", false},
		{":80?reuseport=true", ":80", true},
		{":80?interface=eth0", ":80?interface=eth1", false},
		{":80?interface=eth0", ":80?interface=eth0", true},
		{":80?interface=eth0", ":80", true},
		{"/run/s", "/run/s", true},
		{"/run/s", "unix:///run/s?mode=0660", true},
		{"/run/s", "/run/t", false},
		{"unix://@s", "unix://@s", true},
		{"unix://@/run/s", "/run/s", false},
		{"fd://3", "fd://3", true},
		{"fd://3", "fd://4", false},
		{"stdio:", "stdio:", true},
		{"systemd://web", "systemd://web", false}, // the next one of that name
		{"exec:///bin/cat", "exec:///bin/cat", false},
	}
	for _, tt := range tests {
		_, p := checkText(fmt.Sprintf("version: 1\nlisteners:\n  a: {on: %q, route: r}\n  b: {on: %q, route: r}\nroutes: {r: {upstream: u}}\nupstreams: {u: {targets: 10.0.0.1:80}}\n", tt.a, tt.b))
		got := strings.Contains(p.Error(), "relayd.yaml:4:11: listeners.b.on: ") && strings.Contains(p.Error(), "is in the way of")
		if got != tt.want || len(p.List) > 1 || !tt.want && len(p.List) > 0 {
			t.Errorf("%s and %s: %v", tt.a, tt.b, p)
		}
	}
}
