package transform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"relayd/transform"
)

func TestParseStage(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"gzip", "gzip"},
		{"gunzip", "gunzip"},
		{"gzip:level=6", "gzip"}, // the default goes without saying
		{"gzip:level=1", "gzip:level=1"},
		{"gzip:level=09", "gzip:level=9"},
		{"gzip:level=+9", "gzip:level=9"},
		{`gzip:level="9"`, "gzip:level=9"},
		{`gzip:level="\x39"`, "gzip:level=9"},
		{"zstd:level=3,window=131072,idle=10s", "zstd"},
		{"zstd:level=19,window=1MiB,idle=1m", "zstd:level=10,window=1M,idle=1m0s"},
		{"zstd:level=5,window=32K,idle=0", "zstd:window=32k,idle=off"},
		{"zstd:idle=0s", "zstd:idle=off"},
		{"unzstd:window=128m", "unzstd:window=128M"},
		{"s2:block=64KiB,level=2", "s2:level=2"},
	} {
		s, err := transform.ParseStage(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.String(); got != test.want {
			t.Errorf("%s is written %s, want %s", test.in, got, test.want)
		}
	}
}

// The messages are part of the manual: they say where, what, and what to do.
func TestParseStageErrors(t *testing.T) {
	var names []string
	for _, info := range transform.Stages() {
		names = append(names, info.Name)
	}
	known := "known are " + strings.Join(names, ", ")
	for _, test := range []struct{ in, want string }{
		{"", `byte 1: name of a stage expected: a stage is written name or name:key=value,key=value; ` + known},
		{"gzp", `byte 1: unknown stage "gzp": did you mean "gzip"?`},
		{"GZIP", `byte 1: unknown stage "GZIP": did you mean "gzip"?`},
		{"unzip", `byte 1: unknown stage "unzip": did you mean "gunzip"?`},
		{" gzip", `byte 1: unknown stage " gzip": did you mean "gzip"?`},
		{"brotli", `byte 1: unknown stage "brotli": ` + known},
		{"level=3", `byte 1: "level=" is not the name of a stage: a stage is written name or name:key=value,key=value`},
		{"gzip:", `byte 6: option expected: a stage is written name or name:key=value,key=value`},
		{"gzip:9", `byte 6: option expected: a stage is written name or name:key=value,key=value`},
		{"gzip:lvl=3", `byte 6: unknown option "lvl": did you mean "level"?`},
		{"gzip:speed=3", `byte 6: unknown option "speed": known are level, idle`},
		{"gunzip:level=3", `byte 8: unknown option "level": stage gunzip has no options`},
		{"gzip:level=10", `byte 12: bad value "10" of option "level": want a number from 1 to 9`},
		{"gzip:level=", `byte 12: bad value "" of option "level": want a number from 1 to 9`},
		{"gzip:level=six", `byte 12: bad value "six" of option "level": want a number from 1 to 9`},
		{"gzip:level=1,level=2", `byte 14: option "level" is given twice`},
		{"gzip:level=1,", `byte 13: "," follows the stage: one stage is wanted here`},
		{"gzip,gunzip", `byte 5: ",gunzip" follows the stage: one stage is wanted here`},
		{`gzip:level="1`, `byte 12: the quoted value does not end, or is no Go string`},
		{"zstd:level=20", `byte 12: bad value "20" of option "level": want a number from 1 to 19`},
		{"zstd:window=100k", `byte 13: bad value "100k" of option "window": want a power of two from 1k to 8M`},
		{"zstd:window=16M", `byte 13: bad value "16M" of option "window": want a power of two from 1k to 8M`},
		{"zstd:window=k", `byte 13: bad value "k" of option "window": want a power of two from 1k to 8M`},
		{"zstd:window=8i", `byte 13: bad value "8i" of option "window": want a power of two from 1k to 8M`},
		{"zstd:window=1ib", `byte 13: bad value "1ib" of option "window": want a power of two from 1k to 8M`},
		{"unzstd:window=4096M", `byte 15: bad value "4096M" of option "window": want a power of two from 1k to 128M`},
		{"zstd:idle=10", `byte 11: bad value "10" of option "idle": want a duration such as 500ms, 10s or 2m, or off`},
		{"zstd:idle=-1s", `byte 11: bad value "-1s" of option "idle": want a duration such as 500ms, 10s or 2m, or off`},
		{"s2:level=3", `byte 10: bad value "3" of option "level": want a number from 1 to 2`},
		{`gzip:level="1"2`, `byte 15: "2" follows the quoted value: want a comma or the end`},
	} {
		s, err := transform.ParseStage(test.in)
		var e *transform.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, %v; want an *Error", test.in, s, err)
			continue
		}
		if e.Op != "parse" || e.Stage != test.in {
			t.Errorf("%s: got Op %q, Stage %q", test.in, e.Op, e.Stage)
		}
		if got := e.Err.Error(); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.in, got, test.want)
		}
		if got := err.Error(); !strings.HasPrefix(got, "parse stage ") || !strings.HasSuffix(got, test.want) {
			t.Errorf("%s: got the message %s", test.in, got)
		}
	}
}

func TestParseChain(t *testing.T) {
	for _, test := range []struct {
		in, want string
		n        int
	}{
		{"", "", 0},
		{"gzip", "gzip", 1},
		{"gzip,gunzip", "gzip,gunzip", 2},
		{"gzip:level=2,gzip:level=6,gunzip", "gzip:level=2,gzip,gunzip", 3},
		{`gzip:level="2",gunzip`, "gzip:level=2,gunzip", 2},
	} {
		c, err := transform.ParseChain(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := c.String(); got != test.want || len(c) != test.n {
			t.Errorf("%q: got %d stages, %q; want %d, %q", test.in, len(c), got, test.n, test.want)
		}
	}
	for _, in := range []string{",", "gzip,", ",gzip", "gzip,,gzip", "gzip,level=3", "gzip gunzip", "gzip:level=3,brotli"} {
		if c, err := transform.ParseChain(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, c)
		}
	}
}

func TestStageText(t *testing.T) {
	var config struct{ Up []transform.Stage }
	if err := json.Unmarshal([]byte(`{"Up": ["gzip:level=6", "gunzip"]}`), &config); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"Up":["gzip","gunzip"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	before := config.Up[0]
	if err := config.Up[0].UnmarshalText([]byte("gzap")); err == nil {
		t.Error("an unknown stage was accepted")
	}
	if config.Up[0].String() != before.String() {
		t.Error("a failed UnmarshalText changed the stage")
	}
}

func FuzzParseStage(f *testing.F) {
	for _, seed := range []string{
		"", "gzip", "gunzip", "gzip:level=9", `gzip:level="9"`, "gzip:level=1,level=2", "gzip,gunzip",
		"gzip:", ":", "=", ",", `gzip:level="`, "gzip:\xff=\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := transform.ParseChain(text)
		if err == nil {
			again, err := transform.ParseChain(c.String())
			if err != nil || again.String() != c.String() || len(again) != len(c) {
				t.Fatalf("chain %q is written %q, which is %q, %v", text, c, again, err)
			}
		}
		s, err := transform.ParseStage(text)
		if err != nil {
			var e *transform.Error
			if !errors.As(err, &e) || e.Op != "parse" || e.Stage != text {
				t.Fatalf("got the error %#v", err)
			}
			return
		}
		if len(c) != 1 || c.String() != s.String() {
			t.Fatalf("stage %q is %q, and as a chain %q", text, s, c)
		}
		again, err := transform.ParseStage(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("stage %q is written %q, which is %q, %v", text, s, again, err)
		}
	})
}

// A chain is its stages, each parsed for itself, and an error is at a place in
// the text.
func FuzzParseChain(f *testing.F) {
	var examples []string
	for _, s := range transform.Stages() {
		f.Add(s.Example)
		examples = append(examples, s.Example)
	}
	f.Add(strings.Join(examples, ","))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := transform.ParseChain(text)
		if err != nil {
			var e *transform.Error
			var at int
			if !errors.As(err, &e) || e.Op != "parse" || e.Stage != text {
				t.Fatalf("got the error %#v", err)
			}
			if _, err := fmt.Sscanf(e.Err.Error(), "byte %d:", &at); err != nil || at < 1 || at > len(text)+1 {
				t.Fatalf("%q: the error is at no place in it: %v", text, e)
			}
			return
		}
		var parts transform.Chain
		for _, s := range c {
			again, err := transform.ParseStage(s.String())
			if err != nil {
				t.Fatalf("%q has the stage %q: %v", text, s, err)
			}
			parts = append(parts, again)
		}
		whole, err := transform.ParseChain(c.String())
		if err != nil || whole.String() != c.String() || parts.String() != c.String() {
			t.Fatalf("%q is written %q, which is %q, %v, and stage by stage %q", text, c, whole, err, parts)
		}
		// What undoes it can be written and read, too.
		if undo, err := c.Inverse(); err == nil {
			if _, err := transform.ParseChain(undo.String()); err != nil {
				t.Fatalf("%q is undone by %q: %v", text, undo, err)
			}
		}
	})
}

func TestDescribe(t *testing.T) {
	for _, want := range transform.Stages() {
		got, err := transform.Describe(want.Name)
		if err != nil || got.Name != want.Name || got.Summary != want.Summary || len(got.Options) != len(want.Options) {
			t.Errorf("%s: got %+v, %v", want.Name, got, err)
		}
		if len(got.Notes) > 0 { // what a caller writes into it is not seen by the next
			got.Notes[0] = ""
			if again, _ := transform.Describe(want.Name); again.Notes[0] == "" {
				t.Errorf("%s: the notes are shared", want.Name)
			}
		}
	}
	for name, want := range map[string]string{
		"gzpi": `unknown stage "gzpi": did you mean "gzip"?`,
		"ZSTD": `unknown stage "ZSTD": did you mean "zstd"?`,
		"":     `unknown stage "": known are `,
	} {
		if _, err := transform.Describe(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}
