package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"relayd/transform"
)

// scriptManuals wants a manual of each stage, in 80 columns, which shows a
// command line that runs: manuals.
func scriptManuals(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 0, neg, "manuals")
	// What an example reads must be there.
	module, err := os.ReadFile(filepath.Join("..", "..", "transform", "wasm", "testdata", "upper.wasm"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("upper.wasm"), module, 0o600))
	for _, s := range transform.Stages() {
		ts.Check(ts.Exec("relayd", "stages", s.Name))
		text := ts.ReadFile("stdout")
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > textWidth {
				ts.Fatalf("%s: more than %d columns: %s", s.Name, textWidth, line)
			}
		}
		_, example, _ := strings.Cut(text, "\nExample:\n")
		// The shell's quotes are ours as well.
		words, err := transform.SplitWords(example)
		ts.Check(err)
		if len(words) < 2 || words[0] != "relayd" || !slices.Contains(words, s.Example) {
			ts.Fatalf("%s: the example is %q", s.Name, example)
		}
		name := "example-" + s.Name
		scriptStart(ts, false, append([]string{name, "-l", "127.0.0.1:0"}, words[1:]...))
		scriptSignal(ts, false, []string{name, "TERM"})
		scriptEnds(ts, false, []string{name, "0"})
	}
}

// The commands that will change stages have their names to themselves.
func TestStageNamesAreNoCommands(t *testing.T) {
	for _, s := range transform.Stages() {
		if slices.Contains([]string{"add", "set", "rm", "help"}, s.Name) {
			t.Errorf("relayd stages %s would be a command", s.Name)
		}
	}
}

// A stage's facts are there, and its inverse is.
func TestStagesAreDescribed(t *testing.T) {
	for _, s := range transform.Stages() {
		if s.Summary == "" || s.Memory == "" || s.Example == "" {
			t.Errorf("%s: no summary, memory or example: %+v", s.Name, s)
		}
		for _, o := range s.Options {
			if o.Doc == "" || o.Values == "" {
				t.Errorf("%s: option %s: no doc or values", s.Name, o.Name)
			}
		}
		if s.Inverse != "" {
			if _, err := transform.ParseStage(s.Inverse); err != nil {
				t.Errorf("%s: inverse: %v", s.Name, err)
			}
		}
	}
}
