package tests

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// A layer is a folder and what the packages in it may import besides the
// standard library and each other.
type layer struct {
	folder  string
	ours    []string // layers
	modules []string // packages of others, with all below them
}

// layers is the import table. A package belongs to the layer with the longest
// folder above it. A new dependency is a line here, in the one layer that
// needs it.
var layers = []layer{
	{
		folder: "lifetime",
	},
	{
		folder:  "socket",
		ours:    []string{"lifetime"},
		modules: []string{"golang.org/x/sys"},
	},
	{
		folder:  "transform",
		ours:    []string{"lifetime"},
		modules: []string{"github.com/klauspost/compress", "golang.org/x/time/rate"},
	},
	{
		folder:  "transform/wasm",
		ours:    []string{"lifetime", "transform"},
		modules: []string{"github.com/tetratelabs/wazero"},
	},
	{
		folder:  "relay",
		ours:    []string{"lifetime", "socket", "transform"},
		modules: []string{"github.com/cespare/xxhash/v2", "github.com/pires/go-proxyproto", "golang.org/x/time/rate"},
	},
	{
		folder: "cmd/relayd",
		ours:   []string{"lifetime", "socket", "transform", "transform/wasm", "relay"},
		modules: []string{
			"charm.land/bubbletea/v2",
			"github.com/landlock-lsm/go-landlock",
			"github.com/lmittmann/tint",
			"github.com/prometheus",
			"github.com/schollz/progressbar/v3",
			"github.com/spf13/cobra",
			"github.com/spf13/pflag",
			"go.yaml.in/yaml/v4",
			"golang.org/x/term",
		},
	},
	{
		folder: "tests",
		ours:   []string{"lifetime", "socket", "transform", "transform/wasm", "relay", "cmd/relayd", "tests/leak", "tests/program"},
	},
	// Helpers for the tests of every layer, so they can need none of them.
	{
		folder: "tests/leak",
		ours:   []string{"lifetime"},
	},
	{
		folder: "tests/program",
	},
}

// testModules are packages of others that any test may import.
var testModules = []string{
	"github.com/getkin/kin-openapi", // the admin API's reference
	"golang.org/x/net",
	"github.com/rogpeppe/go-internal",
	"github.com/santhosh-tekuri/jsonschema/v6", // holds the configuration's schema against its decoder
	"pgregory.net/rapid",
}

// layerOf returns the layer of a folder.
func layerOf(folder string) (layer, bool) {
	for {
		for _, l := range layers {
			if l.folder == folder {
				return l, true
			}
		}
		if folder == "." {
			return layer{}, false
		}
		folder = path.Dir(folder)
	}
}

// checkImports holds every import of a project against the table. Test files
// may import what their package may, the helpers below tests, and testModules.
func checkImports(t *tree) (complaints []string) {
	for _, f := range t.files {
		from, ok := layerOf(f.dir)
		if !ok {
			complaints = append(complaints, fmt.Sprintf("%s: %s belongs to no layer", f.path, f.dir))
			continue
		}
		for _, spec := range f.ast.Imports {
			to := strings.Trim(spec.Path.Value, `"`)
			if c := checkImport(from, f.test, to); c != "" {
				complaints = append(complaints, f.path+": "+f.dir+" imports "+to+": "+c)
			}
		}
	}
	return complaints
}

// checkImport returns "" if a file of a layer may import a package.
func checkImport(from layer, test bool, to string) string {
	if to == "C" {
		return "relayd builds without cgo"
	}
	if below(to, module) {
		folder := strings.TrimPrefix(strings.TrimPrefix(to, module), "/")
		target, ok := layerOf(folder)
		if ok && (target.folder == from.folder || slices.Contains(from.ours, target.folder)) {
			return ""
		}
		if test && folder != "tests" && below(folder, "tests") {
			return ""
		}
		return fmt.Sprintf("%s may only import %v", from.folder, from.ours)
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	allowed := from.modules
	if test {
		allowed = slices.Concat(allowed, testModules)
	}
	if slices.ContainsFunc(allowed, func(m string) bool { return below(to, m) }) {
		return ""
	}
	if below(to, "golang.org/x/sys") {
		return "only socket may"
	}
	return fmt.Sprintf("of other modules %s may only import %v", from.folder, allowed)
}

// below reports whether a path is root or under it.
func below(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}

// topEntries are what may lie at the top beside dotfiles. Everything else has a
// folder, see .github/CONTRIBUTING.md.
var topEntries = []string{
	"LICENSE",
	"README.md",
	"cmd",
	"go.mod",
	"go.sum",
	"lifetime",
	"relay",
	"socket",
	"tests",
	"transform",
}

// checkTop looks for entries at the top that are not allowed. What .gitignore
// names is no part of the project.
func checkTop(t *tree) (complaints []string) {
	entries, err := fs.ReadDir(t.fsys, ".")
	if err != nil {
		return []string{err.Error()}
	}
	ignored, _ := fs.ReadFile(t.fsys, ".gitignore")
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' || slices.Contains(topEntries, name) || ignores(string(ignored), name) {
			continue
		}
		complaints = append(complaints, name+" does not belong at the top")
	}
	return complaints
}

// ignores reports whether a .gitignore file names an entry at the top.
func ignores(gitignore, name string) bool {
	for pattern := range strings.Lines(gitignore) {
		pattern = strings.TrimPrefix(strings.TrimSpace(pattern), "/")
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

func TestImports(t *testing.T) { checkHouse(t, checkImports) }

func TestTop(t *testing.T) { checkHouse(t, checkTop) }

func TestImportsPlanted(t *testing.T) {
	checkPlants(t, checkImports, []plant{
		{
			name: "allowed",
			files: map[string]string{
				"lifetime/a.go":                   `package lifetime; import "sync"`,
				"lifetime/a_test.go":              `package lifetime; import ("pgregory.net/rapid"; "relayd/tests/leak")`,
				"lifetime/process/a.go":           `package process; import "relayd/lifetime"`,
				"socket/a_linux.go":               `package socket; import ("golang.org/x/sys/unix"; "relayd/lifetime")`,
				"transform/stagetest/a.go":        `package stagetest; import "relayd/transform"`,
				"transform/a.go":                  `package transform; import "github.com/klauspost/compress/zstd"`,
				"relay/a.go":                      `package relay; import ("relayd/socket"; "relayd/transform/stagetest")`,
				"cmd/relayd/main.go":              `package main; import ("relayd/relay"; "relayd/cmd/relayd/internal/config"; "golang.org/x/term")`,
				"cmd/relayd/internal/config/a.go": `package config; import "relayd/socket"`,
				"cmd/relayd/a_test.go":            `package main; import ("github.com/rogpeppe/go-internal/testscript"; "relayd/tests/program")`,
				"tests/a_test.go":                 `package tests; import ("relayd/relay"; "relayd/tests/leak")`,
				"tests/leak/a.go":                 `package leak; import "relayd/lifetime"`,
			},
		},
		{
			name: "upwards",
			files: map[string]string{
				"lifetime/a.go":      `package lifetime; import "relayd/socket"`,
				"lifetime/a_test.go": `package lifetime_test; import "relayd/transform"`,
				"relay/a.go":         `package relay; import "relayd/cmd/relayd/internal/config"`,
				"socket/a.go":        `package socket; import "relayd/relay"`,
				"tests/leak/a.go":    `package leak; import "relayd/socket"`,
			},
			want: []string{
				"lifetime/a.go: lifetime imports relayd/socket: lifetime may only import []",
				"lifetime/a_test.go: lifetime imports relayd/transform: lifetime may only import []",
				"relay/a.go: relay imports relayd/cmd/relayd/internal/config: relay may only import [lifetime socket transform]",
				"socket/a.go: socket imports relayd/relay: socket may only import [lifetime]",
				"tests/leak/a.go: tests/leak imports relayd/socket: tests/leak may only import [lifetime]",
			},
		},
		{
			name: "sideways",
			files: map[string]string{
				"transform/a.go":           `package transform; import "relayd/socket"`,
				"transform/a_test.go":      `package transform; import s "relayd/socket"`,
				"transform/stagetest/b.go": `package stagetest; import _ "relayd/socket"`,
			},
			want: []string{
				"transform/a.go: transform imports relayd/socket: transform may only import [lifetime]",
				"transform/a_test.go: transform imports relayd/socket: transform may only import [lifetime]",
				"transform/stagetest/b.go: transform/stagetest imports relayd/socket: transform may only import [lifetime]",
			},
		},
		{
			name: "hidden behind a build constraint",
			files: map[string]string{
				"transform/a_plan9.go": "//go:build never\n\npackage transform\n\nimport \"relayd/socket\"\n",
			},
			want: []string{
				"transform/a_plan9.go: transform imports relayd/socket: transform may only import [lifetime]",
			},
		},
		{
			name: "a second door to the kernel",
			files: map[string]string{
				"cmd/relayd/a.go": `package main; import "golang.org/x/sys/unix"`,
				"relay/a.go":      `package relay; import "golang.org/x/sys/unix"`,
				"tests/a_test.go": `package tests; import "golang.org/x/sys/unix"`,
			},
			want: []string{
				"cmd/relayd/a.go: cmd/relayd imports golang.org/x/sys/unix: only socket may",
				"relay/a.go: relay imports golang.org/x/sys/unix: only socket may",
				"tests/a_test.go: tests imports golang.org/x/sys/unix: only socket may",
			},
		},
		{
			name: "other modules",
			files: map[string]string{
				"lifetime/a.go":      `package lifetime; import "pgregory.net/rapid"`,
				"socket/a_test.go":   `package socket; import "github.com/stretchr/testify/assert"`,
				"transform/a.go":     `package transform; import "github.com/klauspost/compressor"`,
				"transform/cgo/a.go": `package cgo; import "C"`,
			},
			want: []string{
				"lifetime/a.go: lifetime imports pgregory.net/rapid: of other modules lifetime may only import []",
				"socket/a_test.go: socket imports github.com/stretchr/testify/assert: of other modules socket may only import [golang.org/x/sys github.com/getkin/kin-openapi golang.org/x/net github.com/rogpeppe/go-internal github.com/santhosh-tekuri/jsonschema/v6 pgregory.net/rapid]",
				"transform/a.go: transform imports github.com/klauspost/compressor: of other modules transform may only import [github.com/klauspost/compress golang.org/x/time/rate]",
				"transform/cgo/a.go: transform/cgo imports C: relayd builds without cgo",
			},
		},
		{
			name: "test helpers outside tests",
			files: map[string]string{
				"relay/a.go":         `package relay; import "relayd/tests/leak"`,
				"relay/a_test.go":    `package relay; import "relayd/tests"`,
				"cmd/relayd/main.go": `package main; import "relayd/tests/program"`,
			},
			want: []string{
				"cmd/relayd/main.go: cmd/relayd imports relayd/tests/program: cmd/relayd may only import [lifetime socket transform transform/wasm relay]",
				"relay/a.go: relay imports relayd/tests/leak: relay may only import [lifetime socket transform]",
				"relay/a_test.go: relay imports relayd/tests: relay may only import [lifetime socket transform]",
			},
		},
		{
			name: "no layer",
			files: map[string]string{
				"cmd/other/main.go": `package main`,
				"main.go":           `package main`,
				"relay/a.go":        `package relay; import "relayd/util"`,
				"util/a.go":         `package util`,
			},
			want: []string{
				"cmd/other/main.go: cmd/other belongs to no layer",
				"main.go: . belongs to no layer",
				"relay/a.go: relay imports relayd/util: relay may only import [lifetime socket transform]",
				"util/a.go: util belongs to no layer",
			},
		},
	})
}

func TestTopPlanted(t *testing.T) {
	checkPlants(t, checkTop, []plant{
		{
			name: "allowed",
			files: map[string]string{
				".ci/run":    "",
				".gitignore": "# built\n/relayd\n*.prof\n",
				"LICENSE":    "",
				"cpu.prof":   "",
				"go.mod":     "",
				"relayd":     "",
				"socket/a":   "",
			},
		},
		{
			name: "strays",
			files: map[string]string{
				"Makefile":     "",
				"internal/x":   "",
				"relayd":       "",
				"LICENSE":      "",
				"docs/read.md": "",
			},
			want: []string{
				"Makefile does not belong at the top",
				"docs does not belong at the top",
				"internal does not belong at the top",
				"relayd does not belong at the top",
			},
		},
	})
}
