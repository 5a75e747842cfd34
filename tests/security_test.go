package tests

import (
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

const securityPage = ".github/SECURITY.md"

var namedTest = regexp.MustCompile("\\| `([a-z/]+)` `(Test[A-Za-z0-9]+)` \\|$")

// checkSecurityPage wants a test for each claim of the page: one that is there.
func checkSecurityPage(t *tree) (complaints []string) {
	tests := make(map[string]bool)
	for _, f := range t.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				tests[f.dir+" "+fn.Name.Name] = true
			}
		}
	}
	page, err := fs.ReadFile(t.fsys, securityPage)
	if err != nil {
		return []string{err.Error()}
	}
	_, claims, found := strings.Cut(string(page), "## What holds\n")
	if !found {
		return []string{securityPage + ": it says nothing of what holds"}
	}
	for line := range strings.SplitSeq(claims, "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| claim |") {
			continue
		}
		switch m := namedTest.FindStringSubmatch(line); {
		case m == nil:
			complaints = append(complaints, fmt.Sprintf("%s: no test in %q", securityPage, line))
		case !tests[m[1]+" "+m[2]]:
			complaints = append(complaints, fmt.Sprintf("%s: %s has no %s", securityPage, m[1], m[2]))
		}
	}
	return complaints
}

func TestSecurityPage(t *testing.T) { checkHouse(t, checkSecurityPage) }

// The rule sees what it is to see.
func TestSecurityPagePlanted(t *testing.T) {
	const head = "## What holds\n\n| claim | not | test |\n|---|---|---|\n"
	for rows, want := range map[string]int{
		"| a | – | `x` `TestA` |\n": 0, "| a | – | `y` `TestA` |\n": 1, "| a | – | `x` `TestB` |\n": 1, "| a | – | – |\n": 1,
	} {
		planted, err := readTree(fstest.MapFS{
			securityPage:  {Data: []byte(head + rows)},
			"x/x_test.go": {Data: []byte("package x\n\nfunc TestA(t *testing.T) {}\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := checkSecurityPage(planted); len(got) != want {
			t.Errorf("%q: %v", rows, got)
		}
	}
}
