package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"relayd/cmd/relayd/internal/config"
	"relayd/cmd/relayd/internal/screen"
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
	// Always the same name, so that one who was killed here leaves at most one, and
	// his successor takes it away. O_EXCL follows no link that somebody has put there.
	temp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		os.Remove(path + ".new")
		temp, err = os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
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
func banner(w io.Writer, c *config.Config, addrs []socket.Address) error {
	var b strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&b, "listening on  %s\n", a)
	}
	describe(&b, c)
	if a := addrs[0]; a.Kind == socket.TCP || a.Kind == socket.Unix {
		fmt.Fprintf(&b, "try           %s\n", tryLine(a))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// describe says where conns go: what a command line says in a few lines, and of
// more only how much there is.
func describe(b *strings.Builder, c *config.Config) {
	if len(c.Routes) != 1 || len(c.Upstreams) != 1 || len(c.Upstreams[0].Targets) != 1 {
		fmt.Fprintf(b, "configured by %s: %s\n", show(c.File), c.Summary())
		return
	}
	fmt.Fprintf(b, "relaying to   %s\n", c.Upstreams[0].Targets[0].Address.Address)
	up, down, err := c.Routes[0].Chains()
	if err != nil {
		return // and then nothing runs
	}
	if len(up) > 0 {
		fmt.Fprintf(b, "up            %s\n", up)
	}
	if len(down) > 0 {
		fmt.Fprintf(b, "down          %s\n", down)
	}
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

// quote returns s as one word of a shell command. What a terminal would obey is
// written as $'…' has it, which most shells know.
func quote(s string) string {
	if clean := screen.Clean(s); clean != s {
		var b strings.Builder
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' || c == '\'' || c == '\\' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		return "$'" + b.String() + "'"
	}
	if s != "" && s[0] != '=' && strings.IndexFunc(s, strange) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func strange(r rune) bool {
	return !strings.ContainsRune("/._-+:@%,=", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
