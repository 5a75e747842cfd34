package transform

// No listed stage has free text for a value yet, so the grammar of values is
// tested on a definition of its own.

import (
	"io"
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
	return values, newStage(&textDefinition, values).text, nil
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
