package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func schemaTree(t testing.TB) map[string]any {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree.(map[string]any)
}

// compile returns the schema with our formats.
func compile(t testing.TB) *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	for name, v := range map[string]value{
		"relayd-listen": new(ListenAddress), "relayd-dial": new(DialAddress), "relayd-admin": new(AdminAddress),
		"relayd-network": new(Prefix), "relayd-ip": new(IP), "relayd-stages": new(Stages),
		"relayd-text": new(Text), "relayd-escaped": new(Escaped), "relayd-time": new(Duration),
	} {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(x any) error {
			s, ok := x.(string)
			if !ok {
				return nil
			}
			return v.set(strings.ReplaceAll(s, "$$", "$"), &field{})
		}})
	}
	if err := c.AddResource("relayd.json", schemaTree(t)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("relayd.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agree holds the schema against the decoder, over one tree.
func agree(t *testing.T, s *jsonschema.Schema, tree any, what string) bool {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	byDecoder := ""
	if _, p := decodeText(string(text)); p.Err() != nil {
		byDecoder = p.Error()
	}
	bySchema := s.Validate(parsed)
	if (byDecoder != "") != (bySchema != nil) {
		t.Errorf("%s: the decoder says %q, the schema %v, of\n%s", what, byDecoder, bySchema, text)
		return false
	}
	return true
}

// The schema is a schema, and takes the examples.
func TestSchemaTakesExamples(t *testing.T) {
	s := compile(t)
	for name, text := range exampleFiles(t) {
		var tree any
		if err := yaml.Load([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		agree(t, s, tree, name)
		if text, _ := json.Marshal(tree); s.Validate(must(jsonschema.UnmarshalJSON(bytes.NewReader(text)))) != nil {
			t.Errorf("%s is not valid", name)
		}
	}
}

func must(x any, err error) any {
	if err != nil {
		panic(err)
	}
	return x
}

// Whatever is done to an example, schema and decoder say the same.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	s := compile(t)
	random := rand.New(rand.NewPCG(1, 2))
	bad := 0
	for name, text := range exampleFiles(t) {
		most := 150
		if name == "reference.yaml" { // it has everything
			most = 2000
			text = commented.ReplaceAllString(text, "$1$2")
		}
		var tree any
		if err := yaml.Load([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		for _, m := range mutations(tree, random, most) {
			if !agree(t, s, m.tree, name+": "+m.what) {
				if bad++; bad > 10 {
					t.Fatal("and more")
				}
			}
		}
	}
}

// A mutation is a tree in which one thing was changed.
type mutation struct {
	tree any
	what string
}

// strangers are put in the place of every value.
var strangers = []any{
	nil, true, false, 0, 1, -1, 30, 0.5, 1.5, 2000000000, "", "off", "on", "0", "5s", "1h30m", "1.5h", "-5s", "5 s", "5d", "50%", "101%", "50",
	"1MiB/s", "1M/s", "1m", "10", "1.5", "auto", "none", "true", "keep", "v2", "debug", "info+2", "text", "first", "1.3",
	"127.0.0.1:80", ":80", "host:0", "host", "/run/s", "echo:", "stdio:", "fd://3", "systemd://a", "exec:///bin/cat", "unix://@a", ":80?nodelay=false", ":80?nope=1", "tcp://:99999",
	"10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "::1", "::/0", "fe80::1%eth0", "224.0.0.1", "0.0.0.0",
	"gzip", "gzip,gunzip", "gzip:level=99", "nope", "www.example.com", "*.example.com", "*.*.com", "WWW.example.com", "a..b", "h2", "a b", "A", "a,b", "a$$b", "$$", `a\r\n`, `a\q`, "ü", "\x1b[31m", "a\nb",
	strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 300),
	[]any{}, []any{"gzip"}, []any{[]any{}}, []any{1}, []any{nil}, []any{"10.0.0.1", "nope"}, map[string]any{}, map[string]any{"nope": 1}, []any{map[string]any{}},
	map[string]any{"address": "10.0.0.1:1"}, []any{map[string]any{"address": "10.0.0.1:1", "weight": "off"}},
}

// mutations changes each place of a tree in every way, and many twice.
func mutations(tree any, random *rand.Rand, most int) (list []mutation) {
	var walk func(x any, path string, put func(any) any)
	walk = func(x any, path string, put func(any) any) {
		for _, s := range strangers {
			list = append(list, mutation{put(s), fmt.Sprintf("%s is %#v", path, s)})
		}
		switch x := x.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(x)) {
				without := maps.Clone(x)
				delete(without, k)
				list = append(list, mutation{put(without), "without " + path + "." + k})
				with := maps.Clone(without)
				with[k+"x"] = x[k]
				list = append(list, mutation{put(with), path + "." + k + " has an x"})
				walk(x[k], path+"."+k, func(v any) any {
					c := maps.Clone(x)
					c[k] = v
					return put(c)
				})
			}
		case []any:
			for i := range x {
				walk(x[i], fmt.Sprintf("%s[%d]", path, i), func(v any) any {
					c := slices.Clone(x)
					c[i] = v
					return put(c)
				})
			}
		}
	}
	walk(tree, "", func(v any) any { return v })
	random.Shuffle(len(list), reflect.Swapper(list))
	return list[:min(len(list), most)] // the rest is alike
}
