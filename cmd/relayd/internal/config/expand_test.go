package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"relayd/relay"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "apple", "EMPTY": "", "X_1": "$A ${A}", "BAD": "\xff"}
	files := map[string]string{"/k": "secret\n", "/crlf": "secret\r\n", "/two": "a\n\n", "/long": strings.Repeat("x", maxSecret+1), "/most": strings.Repeat("x", maxSecret), "/bin": "\x00\xff"}
	tests := []struct{ text, want, err string }{
		{"plain", "plain", ""},
		{"", "", ""},
		{"${A}", "apple", ""},
		{"an ${A} a ${A}", "an apple a apple", ""},
		{"$$", "$", ""},
		{"$${A}", "${A}", ""},
		{"$$$$", "$$", ""},
		{"a$b $ 5$", "a$b $ 5$", ""},
		{"${X_1}", "$A ${A}", ""}, // not again
		{"${EMPTY}", "", ""},
		{"${EMPTY:-x}", "x", ""},
		{"${NONE:-x:-y}", "x:-y", ""},
		{"${NONE:-}", "", ""},
		{"${A:-x}", "apple", ""},
		{"${NONE}", "", "the environment has no NONE: set it, or write ${NONE:-DEFAULT}"},
		{"${}", "", `"${}" is neither a variable nor file:/PATH`},
		{"${A B}", "", "is neither a variable"},
		{"${1}", "", "is neither a variable"},
		{"${A", "", `"${" without "}"`},
		{"${BAD}", "", "BAD in the environment is not text"},
		{"${file:/k}", "secret", ""},
		{"x${file:/crlf}y", "xsecrety", ""},
		{"${file:/two}", "a\n", ""},
		{"${file:k}", "", "the path of a file begins with /"},
		{"${file:/none}", "", `file "/none": file does not exist`},
		{"${file:/long}", "", "is longer than 64 KiB"},
		{"${file:/bin}", "", `file "/bin" is not text`},
		{strings.Repeat("${file:/most}", maxExpanded/maxSecret+1), "", "longer than 8 MiB, all in all"},
	}
	for _, tt := range tests {
		e := &expander{
			lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
			read: func(path string) ([]byte, error) {
				if v, ok := files[path]; ok {
					return []byte(v), nil
				}
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			},
			left: maxExpanded,
		}
		got, fromFile, err := e.expand(tt.text)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%.60q is %.60q, %v; want %q, %s", tt.text, got, err, tt.want, tt.err)
		}
		if want := strings.Contains(tt.text, "file:") && err == nil; fromFile != want {
			t.Errorf("%.60q: from a file: %v", tt.text, fromFile)
		}
	}
}

// Only regular files are read, and nobody waits for the writer of a pipe.
func TestReadShort(t *testing.T) {
	dir := t.TempDir()
	pipe, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "file")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{pipe: "is not a regular file", dir: "is a directory", filepath.Join(dir, "none"): "no such file", "/dev/zero": "is not a regular file"} {
		if _, err := readShort(path, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got, err := readShort(file, 3); string(got) != "1234" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Nor is it in what relayd shows while it runs, and yet a reload sees that it has
// changed.
func TestSecretsAreHidden(t *testing.T) {
	secret := "hunter2"
	read := func(string) ([]byte, error) { return []byte(secret), nil }
	const text = `version: 1
listeners: {l: {on: 127.0.0.1:0, route: r}}
routes: {r: {upstream: u, up: ["exec:\"/bin/cat ${file:/k}\""], down: count}}
upstreams: {u: {targets: ["exec:///bin/cat?arg=${file:/k}"], check: {every: 1s, expect: "${file:/k}"}}}
`
	build := func() relay.Config {
		t.Helper()
		c, p := decode("relayd.yaml", []byte(text), os.LookupEnv, read)
		c.Check(p)
		r, err := c.Relay()
		if len(p.List) > 0 || err != nil {
			t.Fatal(p, err)
		}
		return r
	}
	r := build()
	before := fmt.Sprint(r.Routes[0].Up, r.Routes[0].Down, r.Upstreams[0].Targets[0].Address)
	if strings.Contains(before, secret) || strings.Count(before, "${file:/k}") != 2 || !r.Upstreams[0].Check.Secret {
		t.Errorf("shown is %s", before)
	}
	secret = "hunter3"
	other := build()
	after := fmt.Sprint(other.Routes[0].Up, other.Routes[0].Down, other.Upstreams[0].Targets[0].Address)
	if after != before || other.Routes[0].Up.Same(r.Routes[0].Up) || other.Upstreams[0].Targets[0].Address == r.Upstreams[0].Targets[0].Address {
		t.Errorf("it is shown as %s, and taken for the same", after)
	}
}

// What a value has from another file is not printed, and not in messages.
func TestSecretsStayInTheirFiles(t *testing.T) {
	read := func(string) ([]byte, error) { return []byte("hunter2\n"), nil }
	env := func(name string) (string, bool) { return "value", true }
	const secret = `upstreams: {web: {targets: [10.0.0.1:80], check: {every: 1s, send: "AUTH ${file:/run/key} ${USER} $$"}}}` + "\n"
	text := strings.Replace(good, "upstreams: {web: {targets: [10.0.0.1:80]}}\n", secret+"user: ${USER}\n", 1)
	c, p := decode("relayd.yaml", []byte(text), env, read)
	c.Check(p)
	if len(p.List) > 0 || c.Upstreams[0].Check.Send != "AUTH hunter2 value $" {
		t.Fatalf("%v, %q", p, c.Upstreams[0].Check.Send)
	}
	out := c.YAML(Style{Origins: true})
	if strings.Contains(out, "hunter2") || !strings.Contains(out, "${file:/run/key}") || !strings.Contains(out, "user: value") {
		t.Errorf("printed it is\n%s", out)
	}
	for _, key := range []string{"user", "log: {level", "log: {every", "log: {format", "drop-policy", "admin: {listen", "limits: {max-conns", "limits: {accept-rate", "limits: {nofile",
		"routes: {b: {upstream", "routes: {b: {up", "upstreams: {b: {sources", "upstreams: {b: {targets", "listeners: {b: {allow"} {
		closing := strings.Repeat("}", strings.Count(key, "{"))
		_, p := decode("relayd.yaml", fmt.Appendf(nil, "version: 1\n%s: \"${file:/run/key}!\"%s\n", key, closing), env, read)
		if strings.Contains(p.Error(), "hunter2") {
			t.Errorf("%s: %v", key, p)
		}
	}
}
