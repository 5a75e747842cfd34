package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"relayd/socket"
)

var update = flag.Bool("update", false, "write examples/reference.yaml anew")

// noEnvironment and noFiles are for files that should need neither.
func noEnvironment(string) (string, bool) { return "", false }
func noFiles(string) ([]byte, error)      { return nil, fs.ErrNotExist }
func decodeText(text string) (*Config, *Problems) {
	return decode("relayd.yaml", []byte(text), noEnvironment, noFiles)
}

// exampleFiles returns the examples by name.
func exampleFiles(t testing.TB) map[string]string {
	paths, err := filepath.Glob("examples/*")
	if err != nil || len(paths) < 10 {
		t.Fatalf("the examples are %v, %v", paths, err)
	}
	files := make(map[string]string)
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = string(text)
	}
	return files
}

// Each example is as it should be: nothing to complain about, nothing to warn of.
// Printed it decodes to the same, and relay takes it.
func TestExamples(t *testing.T) {
	_, err := socket.ParseAddress("tls://127.0.0.1:1")
	var unknown *socket.AddressError
	hasTLS := !errors.As(err, &unknown) || !strings.Contains(unknown.Reason, "not supported")
	for name, text := range exampleFiles(t) {
		c, p := decode(name, []byte(text), noEnvironment, noFiles)
		if name != "tls.yaml" || hasTLS {
			c.Check(p)
			if _, err := c.Relay(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(p.List) > 0 {
			t.Errorf("%s:\n%v", name, p)
		}
		want := c.YAML(Style{})
		for _, s := range []Style{{}, {Given: true}, {Origins: true}, {Origins: true, Given: true}} {
			again, p := decodeText(c.YAML(s))
			if name != "tls.yaml" || hasTLS {
				again.Check(p)
			}
			if got := again.YAML(Style{}); len(p.List) > 0 || got != want {
				t.Errorf("%s: printed in style %v it is\n%s%v\nwhich says\n%swant\n%s", name, s, c.YAML(s), p, got, want)
			}
		}
	}
}

// The reference is what is printed, equals the defaults, and has all keys.
func TestReference(t *testing.T) {
	const path = "examples/reference.yaml"
	if *update {
		if err := os.WriteFile(path, []byte(Reference()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != Reference() {
		t.Errorf("%s is not what it should be (%v): run go test -update", path, err)
	}

	c, p := decodeText(Reference())
	c.Check(p)
	if len(p.List) > 0 {
		t.Fatal(p)
	}
	// All that is there is a default: without it, it is the same.
	small, p := decodeText(`version: 1
listeners: {default: {on: 127.0.0.1:7000, route: default}}
routes: {default: {upstream: default}}
upstreams: {default: {targets: "echo:"}}
`)
	small.Check(p)
	if got, want := c.YAML(Style{}), small.YAML(Style{}); got != want {
		t.Errorf("the reference says\n%swant\n%s", got, want)
	}
}

// commented is a key in a comment. Words have one blank before them.
var commented = regexp.MustCompile(`(?m)^( *)#((  +)?[a-z#-].*)$`)

// With its comments turned into keys the reference has each key of the schema,
// in each place where it can be, and no other.
func TestReferenceIsComplete(t *testing.T) {
	text := commented.ReplaceAllString(Reference(), "$1$2")
	if _, p := decodeText(text); len(p.List) > 0 {
		t.Fatalf("%v in\n%s", p, text)
	}
	var root any
	if err := yaml.Load([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	got := paths(root, "")
	want := schemaPaths(t)
	for _, p := range want {
		if !slices.Contains(got, p) {
			t.Errorf("the reference lacks %s", p)
		}
	}
	for _, p := range got {
		if !slices.Contains(want, p) {
			t.Errorf("the schema lacks %s", p)
		}
	}
}

// paths lists the keys of a tree, with * for names and elements.
func paths(x any, path string) (list []string) {
	switch x := x.(type) {
	case map[string]any:
		named := path == ".listeners" || path == ".routes" || path == ".upstreams"
		for k, v := range x {
			p := path + "." + k
			if named {
				p = path + ".*"
			} else {
				list = append(list, p)
			}
			list = append(list, paths(v, p)...)
		}
	case []any:
		for _, v := range x {
			list = append(list, paths(v, path+".*")...)
		}
	}
	return list
}

// schemaPaths lists the keys of the schema.
func schemaPaths(t *testing.T) (list []string) {
	root := schemaTree(t)
	defs := root["$defs"].(map[string]any)
	var walk func(node map[string]any, path string)
	walk = func(node map[string]any, path string) {
		if ref, ok := node["$ref"].(string); ok {
			walk(defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), path)
		}
		for key, p := range asMap(node["properties"]) {
			list = append(list, path+"."+key)
			walk(p.(map[string]any), path+"."+key)
		}
		for _, below := range []string{"additionalProperties", "items"} {
			if p := asMap(node[below]); p != nil {
				walk(p, path+".*")
			}
		}
		forms, _ := node["anyOf"].([]any)
		for _, p := range forms {
			walk(p.(map[string]any), path)
		}
	}
	walk(root, "")
	return list
}

func asMap(x any) map[string]any {
	m, _ := x.(map[string]any)
	return m
}
