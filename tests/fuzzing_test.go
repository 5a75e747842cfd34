package tests

import (
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const fuzzingPage = ".github/FUZZING.md"

var namedTarget = regexp.MustCompile("\\| `([a-z/]+)` `(Fuzz[A-Za-z0-9]+)` \\|$")

// checkFuzzingPage wants a row of the page for each fuzz target, and a target for
// each row.
func checkFuzzingPage(t *tree) (complaints []string) {
	targets := make(map[string]bool)
	for _, f := range t.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				targets[f.dir+" "+fn.Name.Name] = true
			}
		}
	}
	page, err := fs.ReadFile(t.fsys, fuzzingPage)
	if err != nil {
		return []string{err.Error()}
	}
	listed := make(map[string]bool)
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasSuffix(line, "| target |") {
			continue
		}
		m := namedTarget.FindStringSubmatch(line)
		if m == nil {
			complaints = append(complaints, fmt.Sprintf("%s: no fuzz target in %q", fuzzingPage, line))
			continue
		}
		target := m[1] + " " + m[2]
		switch {
		case !targets[target]:
			complaints = append(complaints, fmt.Sprintf("%s: %s has no %s", fuzzingPage, m[1], m[2]))
		case listed[target]:
			complaints = append(complaints, fmt.Sprintf("%s: %s is listed twice", fuzzingPage, target))
		}
		listed[target] = true
	}
	for target := range targets {
		if !listed[target] {
			complaints = append(complaints, fmt.Sprintf("%s: %s is not listed", fuzzingPage, target))
		}
	}
	slices.Sort(complaints)
	return complaints
}

func TestFuzzingPage(t *testing.T) { checkHouse(t, checkFuzzingPage) }

// The rule sees what it is to see.
func TestFuzzingPagePlanted(t *testing.T) {
	const head = "| what is read | from whom | target |\n|---|---|---|\n"
	for rows, want := range map[string]int{
		"| a | b | `x` `FuzzA` |\n": 0,
		"":                          1,
		"| a | b | `x` `FuzzA` |\n| a | b | `x` `FuzzA` |\n": 1,
		"| a | b | `y` `FuzzA` |\n":                          2,
		"| a | b | `x` `FuzzA` |\n| a | b | `x` `FuzzB` |\n": 1,
		"| a | b | – |\n| a | b | `x` `FuzzA` |\n":           1,
	} {
		planted, err := readTree(fstest.MapFS{
			fuzzingPage:   {Data: []byte(head + rows)},
			"x/x_test.go": {Data: []byte("package x\n\nfunc FuzzA(f *testing.F) {}\n\nfunc TestA(t *testing.T) {}\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := checkFuzzingPage(planted); len(got) != want {
			t.Errorf("%q: %v", rows, got)
		}
	}
}
