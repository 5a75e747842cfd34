package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// runSet returns the flags of relayd run, anew, and their names.
func runSet() (set *pflag.FlagSet, names []string) {
	set = pflag.NewFlagSet("run", pflag.ContinueOnError)
	new(runFlags).add(set)
	set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return set, names
}

// Whatever a flag or its variable says: what is taken is written as what is taken
// as the same, and what is not is said in lines that are safe to print.
func FuzzFlag(f *testing.F) {
	_, names := runSet()
	for i := range names {
		for _, text := range []string{
			"127.0.0.1:80", "unix:///x?mode=0660", "none", "gzip:level=9,count", "30s", "off", "auto", "64", "keep", "refcount", "json", "warn+2", "info", "/x:rw",
			"", "-1", "\x1b[2J", "1e9", "plain", "try", "\xff", "99999999999999999999h", "0",
		} {
			if (i+len(text))%3 == 0 { // the fuzzer finds the others
				f.Add(uint8(i), text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		set, names := runSet()
		name := names[int(which)%len(names)]
		err := set.Set(name, text)
		variable, _ := runSet()
		lookup := func(v string) (string, bool) {
			return text, v == "RELAYD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		}
		if err2 := fromEnvironment(variable, lookup); (err == nil) != (err2 == nil) {
			t.Errorf("--%s %q: %v, and from the environment %v", name, text, err, err2)
		}
		if err != nil {
			var out bytes.Buffer
			printError(&out, &exitError{code: exitUsage, err: err})
			if !isTame(out.String()) || out.Len() > 10*len(text)+4096 {
				t.Errorf("--%s %q prints %q", name, text, &out)
			}
			return
		}
		written := set.Lookup(name).Value.String()
		if variable.Lookup(name).Value.String() != written {
			t.Errorf("--%s %q is %q, and from the environment %q", name, text, written, variable.Lookup(name).Value)
		}
		if written == "" || name == "sandbox-path" {
			return
		}
		again, _ := runSet()
		if err := again.Set(name, written); err != nil || again.Lookup(name).Value.String() != written {
			t.Errorf("--%s %q is written %q, which is %q, %v", name, text, written, again.Lookup(name).Value, err)
		}
	})
}

// Whatever is in a token file: a token is one word of ASCII, and long enough; and
// of what is refused nothing is said.
func FuzzToken(f *testing.F) {
	for _, text := range []string{"", "hunter2", "0123456789abcdef", " 0123456789abcdef\n", "0123456789 abcdef", "0123456789abcdef\x00", "\xff0123456789abcdef", strings.Repeat("x", 10_000)} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "token")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := readToken(path)
		switch {
		case err == nil && (len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) || !bytes.Contains(text, []byte(token))):
			t.Errorf("%q has the token %q", text, token)
		case err != nil && token != "":
			t.Errorf("%q has the token %q, and %v", text, token, err)
		case err != nil:
			for word := range bytes.FieldsSeq(text) {
				if len(word) >= 8 && strings.Contains(err.Error(), string(word)) && !strings.Contains(path, string(word)) {
					t.Errorf("%v says what is in the file", err)
				}
			}
		}
	})
}

// A file that never ends is given up.
func TestEndlessToken(t *testing.T) {
	if token, err := readToken("/dev/zero"); err == nil || !strings.Contains(err.Error(), "more than 4096 bytes") {
		t.Errorf("%q, %v", token, err)
	}
}

// FuzzLog logs anything. A record is one line, which steers nothing, and in JSON
// says what it was to say.
func FuzzLog(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text)
	}
	f.Add("conn ended", "reason")
	f.Add("\u2028\ufffd", "")
	f.Fuzz(func(t *testing.T, text, key string) {
		for _, format := range []string{"text", "json"} {
			var b bytes.Buffer
			log := newLog(&b, format, slog.LevelDebug)
			log.With("with", text).WithGroup("g").Info(text, "text", text, key, "key", "err", errors.New(text), "list", []string{text}, "group", slog.GroupValue(slog.String(key, text)))
			if got := b.String(); !isTame(got) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s of %q: %q", format, text, got)
			}
			if format != "json" || !utf8.ValidString(text) {
				continue
			}
			b.Reset()
			log.Info("x", "said", text)
			var line struct{ Said string }
			if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Said != text && !strings.ContainsFunc(text, isSteering) {
				t.Errorf("%q is read as %q, %v", text, line.Said, err)
			}
		}
	})
}
