package transform

// No listed stage has free text for a value yet, so the grammar of values is
// tested on a definition of its own.

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

var textDefinition = definition{
	Info: Info{
		Name: "text",
		Options: []Option{
			{Name: "a", canon: anyText},
			{Name: "b", Default: "x", canon: anyText},
		},
	},
	build: func(values []string) opener {
		return func(src *source) io.ReadCloser { return io.NopCloser(src) }
	},
}

// mainDefinition has a main option.
var mainDefinition = definition{
	Info: Info{
		Name: "main",
		Options: []Option{
			{Name: "a", canon: anyText, Main: true, Required: true},
			{Name: "b", Default: "x", canon: anyText},
		},
	},
	check: func(values []string) error {
		if values[0] == values[1] {
			return errors.New("a and b are the same")
		}
		return nil
	},
	build: textDefinition.build,
}

func anyText(value string) (string, error) { return value, nil }

// parseText parses options of textDefinition, and returns their values and the
// canonical form.
func parseText(options string) (values []string, text string, err error) {
	values = []string{"", "x"}
	p := parser{text: options}
	if err := p.options(&textDefinition, values); err != nil {
		return nil, "", err
	}
	if p.pos < len(options) {
		return nil, "", p.errorf(p.pos, "left over")
	}
	return values, textDefinition.text(values), nil
}

func TestValues(t *testing.T) {
	for _, test := range []struct{ in, a, b, want string }{
		{`:a=1`, "1", "x", `text:a=1`},
		{`:b=2,a=1`, "1", "2", `text:a=1,b=2`},
		{`:a=`, "", "x", `text`},
		{`:b=`, "", "", `text:b=`},
		{`:a=x=y:z`, "x=y:z", "x", `text:a=x=y:z`},
		{`:a="1,b=2"`, "1,b=2", "x", `text:a="1,b=2"`},
		{`:a="",b="\n"`, "", "\n", `text:b="\n"`},
		{`:a=say "no"`, `say "no"`, "x", `text:a="say \"no\""`},
		{":a=\xff", "\xff", "x", `text:a="\xff"`},
	} {
		values, text, err := parseText(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if values[0] != test.a || values[1] != test.b || text != test.want {
			t.Errorf("%s: got %q, %q, %s; want %q, %q, %s", test.in, values[0], values[1], text, test.a, test.b, test.want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "plain", "a,b", `"`, "\\", "a=b:c", "\x00\xff", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		in := ":a=" + quote(value) + ",b=" + quote(value)
		values, _, err := parseText(in)
		if err != nil || values[0] != value || values[1] != value {
			t.Fatalf("%q is written %s, which is %q, %v", value, in, values, err)
		}
	})
}

func TestSuggest(t *testing.T) {
	known := []string{"gzip", "gunzip", "level"}
	for _, test := range []struct{ word, want string }{
		{"gzip", `did you mean "gzip"?`},
		{"gzi", `did you mean "gzip"?`},
		{"gzipp", `did you mean "gzip"?`},
		{"gnuzip", `did you mean "gunzip"?`},
		{"Level", `did you mean "level"?`},
		{"lz4", `known are gzip, gunzip, level`},
		{"", `known are gzip, gunzip, level`},
	} {
		if got := suggest(test.word, known); got != test.want {
			t.Errorf("%q: got %s, want %s", test.word, got, test.want)
		}
	}
}

// define puts definitions in the table for the length of a test.
func define(t testing.TB, defs ...*definition) {
	before := table
	table = append(slices.Clip(table), defs...)
	t.Cleanup(func() { table = before })
}

func TestMainOption(t *testing.T) {
	define(t, &mainDefinition)
	for _, test := range []struct{ in, want string }{
		{`main:1`, `main:1`},
		{`main:a=1`, `main:1`},
		{`main:b=2,a=1`, `main:1,b=2`},
		{`main:1,b=2`, `main:1,b=2`},
		{`main:/f:g=h i`, `main:/f:g=h i`},
		{`main:"1,b=2"`, `main:"1,b=2"`},
		{`main:"b=2"`, `main:"b=2"`}, // it looks like an option
		{`main:a=b=2`, `main:"b=2"`},
		{`main:"x y",b=`, `main:x y,b=`},
		{`main: b=2`, `main: b=2`},
		{`main:=`, `main:=`},
		{`main:1,main:2,b=3,gzip`, `main:1,main:2,b=3,gzip`},
		{`main:"a\"",gzip`, `main:"a\"",gzip`},
	} {
		c, err := ParseChain(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		again, err := ParseChain(c.String())
		if c.String() != test.want || err != nil || again.String() != test.want {
			t.Errorf("%s is written %s, and that %s, %v; want %s", test.in, c, again, err, test.want)
		}
	}
	for _, test := range []struct{ in, want string }{
		{`main`, `byte 1: stage main needs its option "a": write main:A`},
		{`gzip,main:b=2`, `byte 6: stage main needs its option "a": write main:A`},
		{`main:""`, `byte 1: stage main needs its option "a": write main:A`},
		{`main:`, `byte 6: value expected: write main:A`},
		{`main:,b=2`, `byte 6: value expected: write main:A`},
		{`main:c=2`, `byte 6: unknown option "c": did you mean "a"?`},
		{`main:1,a=1`, `byte 8: option "a" is given twice`},
		{`main:1,2`, `byte 8: unknown stage "2": `},
		{`main:x`, `byte 1: a and b are the same`},
	} {
		c, err := ParseChain(test.in)
		if err == nil || !strings.Contains(err.Error(), ": "+test.want) {
			t.Errorf("%s: got %v, %v; want %s", test.in, c, err, test.want)
		}
	}
}

func FuzzMainOption(f *testing.F) {
	define(f, &mainDefinition)
	for _, seed := range []string{"plain", "a,b", `"`, "\\", "a=b:c", "\x00\xff", "ü", ",", "=", " "} {
		f.Add(seed, "y")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || a == b {
			return
		}
		text := mainDefinition.text([]string{a, b})
		for _, in := range []string{text, text + ",gzip", "main:b=" + quote(b) + ",a=" + quote(a)} {
			c, err := ParseChain(in)
			if err != nil || c[0].text != text {
				t.Fatalf("%q, %q is written %s, which is %v, %v", a, b, text, c, err)
			}
		}
	})
}
