package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relayd/socket"
)

func TestReadyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ready")
	addrs := []socket.Address{mustAddress("127.0.0.1:1"), mustAddress("unix://@name")}
	// Once more over what an earlier relayd has left.
	for range 2 {
		if err := writeReadyFile(path, addrs); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if want := "tcp://127.0.0.1:1\nunix://@name\n"; err != nil || string(got) != want {
		t.Errorf("it is %q, %v; want %q", got, err, want)
	}
	removeReadyFile(path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its removal: %v", err)
	}

	// Where it cannot be, nothing of it is left.
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeReadyFile(path, addrs); err == nil || !strings.HasPrefix(err.Error(), "ready file: ") {
		t.Errorf("over a folder: %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}

	// None is asked for.
	if err := writeReadyFile("", addrs); err != nil {
		t.Error(err)
	}
}

func TestBanner(t *testing.T) {
	c, _, err := configOf(t, nil, "-t", "10.0.0.5:80", "--up", "gzip", "--down", "gunzip")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := banner(&b, c, []socket.Address{mustAddress(":7000"), mustAddress("/run/s")}); err != nil {
		t.Fatal(err)
	}
	const want = `listening on  tcp://:7000
listening on  unix:///run/s
relaying to   tcp://10.0.0.5:80
up            gzip
down          gunzip
try           printf 'hello\n' | nc -N 127.0.0.1 7000
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestTryLine(t *testing.T) {
	tests := []struct{ address, want string }{
		{"127.0.0.1:7000", "nc -N 127.0.0.1 7000"},
		{":7000", "nc -N 127.0.0.1 7000"},
		{"0.0.0.0:7000", "nc -N 127.0.0.1 7000"},
		{"[::]:7000", "nc -N ::1 7000"},
		{"[::1]:7000", "nc -N ::1 7000"},
		{"example.com:7000", "nc -N example.com 7000"},
		{"/run/s", "nc -N -U /run/s"},
		{"/run/my sock", "nc -N -U '/run/my sock'"},
		{"unix://@name", "socat - ABSTRACT-CONNECT:name"},
	}
	for _, tt := range tests {
		want := `printf 'hello\n' | ` + tt.want
		if got := tryLine(mustAddress(tt.address)); got != want {
			t.Errorf("%s: %s, want %s", tt.address, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	tests := []struct{ in, want string }{
		{"/run/relayd-1.sock", "/run/relayd-1.sock"},
		{"", "''"},
		{"a b", "'a b'"},
		{"$HOME", "'$HOME'"},
		{"it's", `'it'\''s'`},
		{"é", "'é'"},
		{"~", "'~'"},
	}
	for _, tt := range tests {
		if got := quote(tt.in); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}
