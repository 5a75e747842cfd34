package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"relayd/socket"
)

// writeReadyFile writes the addresses to path, whole or not at all: whoever
// sees the file can read it.
func writeReadyFile(path string, addrs []socket.Address) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	for _, a := range addrs {
		fmt.Fprintln(&b, a)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	_, err = temp.WriteString(b.String())
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("ready file: %w", err)
	}
	return nil
}

// removeReadyFile takes the file back: relayd accepts no more.
func removeReadyFile(path string) {
	if path != "" {
		os.Remove(path)
	}
}

// banner tells a person what runs, and how to try it.
func banner(w io.Writer, f *runFlags, addrs []socket.Address) error {
	var b strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&b, "listening on  %s\n", a)
	}
	fmt.Fprintf(&b, "relaying to   %s\n", f.to.String())
	if len(f.up) > 0 {
		fmt.Fprintf(&b, "up            %s\n", f.up.String())
	}
	if len(f.down) > 0 {
		fmt.Fprintf(&b, "down          %s\n", f.down.String())
	}
	if a := addrs[0]; a.Kind == socket.TCP || a.Kind == socket.Unix {
		fmt.Fprintf(&b, "try           %s\n", tryLine(a))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tryLine returns a shell command that talks to a.
func tryLine(a socket.Address) string {
	const say = "printf 'hello\\n' | "
	switch {
	case a.Kind == socket.Unix && a.Abstract:
		return say + "socat - ABSTRACT-CONNECT:" + quote(a.Path)
	case a.Kind == socket.Unix:
		return say + "nc -N -U " + quote(a.Path)
	}
	host := a.Host
	if host == "" || host == "0.0.0.0" {
		host = "127.0.0.1"
	} else if host == "::" {
		host = "::1"
	}
	return fmt.Sprintf("%snc -N %s %d", say, host, a.Port)
}

// quote returns s as one word of a shell command.
func quote(s string) string {
	if s != "" && s[0] != '=' && strings.IndexFunc(s, strange) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func strange(r rune) bool {
	return !strings.ContainsRune("/._-+:@%,=", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
