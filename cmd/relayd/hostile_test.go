package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"relayd/tests/leak"
)

// hostile are texts that a terminal would obey.
var hostile = []string{
	"\x1b[2J\x1b[H", "\x1b]0;title\a", "\x1b]52;c;cHduZWQ=\a", "\x9b31m", "\u009b31m", "\u202eevil", "\u2066x\u2069", "a\rb", "a\bb",
	"\x1b[31mred", "\x1bP+q\x1b\\", "\x00", "\x7f", "\xff\xfe", "\u200b\ufeff", "a\nINF forged line",
}

// isTame reports whether a terminal only prints a text.
func isTame(s string) bool {
	for _, r := range s {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Whatever is wrong with an argument, what is said of it does not steer the
// terminal.
func TestErrorsAreTame(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	commands := [][]string{
		{"%"}, {"run", "-l", "%"}, {"run", "-l", "127.0.0.1:0", "-t", "%"}, {"run", "-l", "unix:///nowhere/%", "-t", "echo:"},
		{"run", "--up", "%"}, {"run", "--up", "gzip:%=1"}, {"run", "--up", "gzip:level=%"}, {"run", "--up", "exec:%"}, {"run", "--%"}, {"run", "--log-level", "%"}, {"run", "--log-every", "%"},
		{"run", "--config", "/nowhere/%"}, {"run", "--admin-token-file", "/nowhere/%", "-l", "127.0.0.1:0", "-t", "echo:"},
		{"run", "--user", "%", "-l", "127.0.0.1:0", "-t", "echo:"}, {"check", "/nowhere/%"}, {"config", "print", "/nowhere/%"},
		{"ps", "--admin", "%"}, {"ps", "--admin", "/nowhere/%"}, {"ps", "--admin", "/nowhere/x", "%"}, {"ps", "--filter", "%"}, {"ps", "--filter", "state=%"},
		{"inspect", "--admin", "/nowhere/x", "%"}, {"kill", "--admin", "/nowhere/x", "%"}, {"tap", "--admin", "/nowhere/%", "x"}, {"drain", "--admin", "/nowhere/%"}, {"drain", "--timeout", "%"},
		{"stages", "%"}, {"top", "--admin", "/nowhere/%"}, {"help", "%"},
		{"upstreams", "up", "%"}, {"stages", "add", "up", "%", "--admin", "/nowhere/x"}, {"stages", "add", "%", "count", "--admin", "/nowhere/x"}, {"config", "from-flags", "--up", "tee:/tmp/%"},
		{"keygen", "/nowhere/%"}, {"keygen", "--shared", dir + "/%"}, {"keygen", dir + "/own %"},
	}
	for _, command := range commands {
		for _, text := range hostile {
			args := make([]string, len(command))
			for i, word := range command {
				args[i] = strings.ReplaceAll(word, "%", text)
			}
			var out bytes.Buffer
			realMain(args, &out, &out)
			if !isTame(out.String()) {
				t.Errorf("%q prints %q", args, out.String())
			}
		}
	}
}

// The same of a file, whose values and names may be anybody's.
func TestErrorsOfFilesAreTame(t *testing.T) {
	for i, text := range hostile {
		path := filepath.Join(t.TempDir(), "relayd.yaml")
		for _, body := range []string{"version: 1\nuser: \"" + text + "\"\n", "version: 1\n\"" + text + "\": 1\n", text} {
			if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{{"check", path}, {"config", "print", path}, {"config", "print", "--origins", path}} {
				var out bytes.Buffer
				realMain(command, &out, &out)
				if !isTame(out.String()) {
					t.Errorf("%d: %q prints %q", i, command, out.String())
				}
			}
		}
	}
}

// No line of the log steers a terminal, or is one that somebody else has written:
// whatever a name, a message or an error says, it takes one line.
func TestLogIsTame(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, text := range hostile {
			var b bytes.Buffer
			newLog(&b, format, slog.LevelDebug).With("with", text).WithGroup("g").Info(text, "text", text, text, "key", "err", errors.New(text), "list", []string{text}, "group", slog.GroupValue(slog.String("in", text)))
			if got := b.String(); !isTame(got) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s of %q: %q", format, text, got)
			}
		}
	}
}

// A token that cannot be one is not in what is said of it, nor in what is said
// of anything else that goes wrong.
func TestTokenIsNotSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for _, token := range []string{"hunter2", "hunter2 hunter2 hunter2", "hunter2\x1bhunter2hunter2", "hunter2hunter2hunter2"} {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"run", "-l", "127.0.0.1:0", "-t", "echo:", "--admin", "unix:///nowhere/admin.sock", "--admin-token-file", path, "--log-level", "debug"},
			{"ps", "--admin", "/nowhere/admin.sock", "--admin-token-file", path}, {"ps", "--admin", "127.0.0.1:1", "--admin-token-file", path},
		} {
			var out bytes.Buffer
			if code := realMain(args, &out, &out); code == exitOK || strings.Contains(out.String(), "hunter2") {
				t.Errorf("%q: exit code %d, %s", args, code, &out)
			}
		}
	}
}

// The line to try relayd with, and the flags that keygen prints, are words of a
// shell, and do not steer the terminal that they are copied from.
func TestWordsOfAShellAreTame(t *testing.T) {
	for _, text := range hostile {
		if word := quote("/run/" + text + "' \\"); !isTame(word) || strings.Contains(word, "\n") {
			t.Errorf("%q is %q", text, word)
		}
	}
	if got := quote("/a\x1b'\\\u202e"); got != `$'/a\x1b\x27\x5c\xe2\x80\xae'` {
		t.Errorf("it is written %s", got)
	}
}
