package tests

import (
	"bytes"
	"fmt"
	"go/format"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// checkGofmt wants every Go file as gofmt writes it.
func checkGofmt(t *tree) (complaints []string) {
	for _, f := range t.files {
		want, err := format.Source(f.src)
		if err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: %v", f.path, err))
		} else if !bytes.Equal(want, f.src) {
			complaints = append(complaints, fmt.Sprintf("%s: run gofmt -w on it", f.path))
		}
	}
	return complaints
}

// textFiles are the endings of files that people write and gofmt does not read.
var textFiles = []string{
	".css", ".html", ".js", ".json", ".md", ".mjs", ".mod", ".pml", ".service",
	".sh", ".socket", ".toml", ".txtar", ".yaml", ".yml",
	"/.editorconfig", "/.gitattributes", "/.gitignore", "/.ci/run",
}

// checkText wants a newline at the end of each text file and no blanks at the
// end of a line.
func checkText(t *tree) (complaints []string) {
	for _, name := range t.all {
		if !isText(name) {
			continue
		}
		src, err := fs.ReadFile(t.fsys, name)
		if err != nil {
			complaints = append(complaints, err.Error())
			continue
		}
		if len(src) > 0 && src[len(src)-1] != '\n' {
			complaints = append(complaints, name+": no newline at the end")
		}
		n := 0
		for line := range bytes.Lines(src) {
			n++
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(bytes.TrimRight(line, " \t\r")) != len(line) {
				complaints = append(complaints, fmt.Sprintf("%s:%d: blanks at the end", name, n))
			}
		}
	}
	return complaints
}

func isText(name string) bool {
	return slices.ContainsFunc(textFiles, func(end string) bool {
		return path.Ext(name) == end || strings.HasSuffix("/"+name, end) && end[0] == '/'
	})
}

func TestGofmt(t *testing.T) { checkHouse(t, checkGofmt) }

func TestText(t *testing.T) { checkHouse(t, checkText) }

func TestGofmtPlanted(t *testing.T) {
	checkPlants(t, checkGofmt, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go":          "package a\n\nvar x = 1\n",
				"a/testdata/b.go": "package   b",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go":        "package a\nvar  x = 1\n",
				"a/a_darwin.go": "package a",
				"a/a_test.go":   "package a\n\nfunc f() {\n    g()\n}\n",
			},
			want: []string{
				"a/a.go: run gofmt -w on it",
				"a/a_darwin.go: run gofmt -w on it",
				"a/a_test.go: run gofmt -w on it",
			},
		},
	})
}

func TestTextPlanted(t *testing.T) {
	checkPlants(t, checkText, []plant{
		{
			name: "good",
			files: map[string]string{
				".ci/run":          "true\n",
				"README.md":        "# relayd\n\nText.\n",
				"a/testdata/x.bin": "no text \r\n",
				"empty.md":         "",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				".ci/run":              "true \n",
				".github/w/ci.yml":     "on: push\n\t",
				"README.md":            "text",
				"tests/script/x.txtar": "-- a --\r\nb\n",
			},
			want: []string{
				".ci/run:1: blanks at the end",
				".github/w/ci.yml: no newline at the end",
				".github/w/ci.yml:2: blanks at the end",
				"README.md: no newline at the end",
				"tests/script/x.txtar:1: blanks at the end",
			},
		},
	})
}
