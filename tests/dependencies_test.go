package tests

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependenciesPage = "../.github/DEPENDENCIES.md"

var writeDependencies = flag.Bool("dependencies", false, "write "+dependenciesPage+" anew")

const dependenciesHead = `# Dependencies

All modules that go.mod names, for tests too, and their licences. This page is
written by

    go test ./tests -run TestDependencies -dependencies

and the same test fails when it is not as go.mod says. Packages have the licences
themselves, in LICENSES. What only developers need is in tests/tools.mod.

| module | version | licence | asked for |
|---|---|---|---|
`

// licences are those that a module may have, by words of theirs in whatever case.
// Another licence is looked at by somebody before it stands here.
var licences = []struct{ name, words string }{
	{"BSD-3-Clause OR GPL-2.0-only", "SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only"},
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"Apache-2.0", "Licensed under the Apache License, Version 2.0"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"MPL-2.0", "Mozilla Public License"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
	{"BSD-2-Clause", "Redistributions of source code must retain the above copyright notice"},
}

// A requirement is one of go.mod.
type requirement struct {
	Path, Version string
	Indirect      bool
}

func requirements() (list []requirement, err error) {
	text, err := exec.Command("go", "mod", "edit", "-json", "../go.mod").Output()
	if err != nil {
		return nil, err
	}
	var mod struct{ Require []requirement }
	err = json.Unmarshal(text, &mod)
	return mod.Require, err
}

var blanks = regexp.MustCompile(`[\s>]+`)

func plainWords(s string) string { return strings.ToLower(blanks.ReplaceAllString(s, " ")) }

// licence says which one a module has. It may have to be fetched.
func (r requirement) licence() (string, error) {
	text, err := exec.Command("go", "mod", "download", "-json", r.Path+"@"+r.Version).Output()
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return "", err
	}
	var names []string
	for _, pattern := range []string{"LICEN[SC]E*", "License*", "COPYING*"} {
		files, _ := filepath.Glob(filepath.Join(module.Dir, pattern))
		for _, file := range files {
			f, err := os.Open(file)
			if err != nil {
				return "", err
			}
			text, err := io.ReadAll(f)
			f.Close()
			if err != nil {
				return "", err
			}
			names = append(names, licencesIn(string(text))...)
		}
	}
	if names = slices.Compact(slices.Sorted(slices.Values(names))); len(names) == 0 {
		return "", errors.New("no licence that is known")
	}
	return strings.Join(names, " AND "), nil
}

// licencesIn returns those in a text, which may have several for its parts. One
// that is more than another is that one alone.
func licencesIn(text string) (names []string) {
	text = plainWords(text)
	for _, l := range licences {
		more := slices.ContainsFunc(names, func(n string) bool {
			return strings.HasPrefix(n, "BSD-3-Clause") && strings.HasPrefix(l.name, "BSD-") || strings.Contains(n, " OR ")
		})
		if !more && strings.Contains(text, plainWords(l.words)) {
			names = append(names, l.name)
		}
	}
	return names
}

// The page of dependencies is as go.mod says, and each has a licence that is known.
func TestDependencies(t *testing.T) {
	list, err := requirements()
	if err != nil || len(list) == 0 {
		t.Fatalf("%d requirements, %v", len(list), err)
	}
	if *writeDependencies {
		page := dependenciesHead
		for _, r := range list {
			name, err := r.licence()
			if err != nil {
				t.Fatalf("%s: %v", r.Path, err)
			}
			page += r.row(name)
		}
		if err := os.WriteFile(dependenciesPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(dependenciesPage)
	rest, found := strings.CutPrefix(string(page), dependenciesHead)
	if err != nil || !found {
		t.Fatalf("the page begins in another way: %v", err)
	}
	rows := strings.SplitAfter(rest, "\n")
	for i, r := range list {
		cells := strings.Split(rows[min(i, len(rows)-1)], " | ")
		if len(cells) != 4 || rows[i] != r.row(cells[2]) || !areKnown(cells[2]) {
			t.Fatalf("%s %s: it is not in its row, %d: write the page anew, as it says", r.Path, r.Version, i+1)
		}
	}
	if len(rows) != len(list)+1 {
		t.Errorf("%d rows for %d modules", len(rows)-1, len(list))
	}
}

// areKnown reports whether all licences of a row are in the table.
func areKnown(names string) bool {
	for name := range strings.SplitSeq(names, " AND ") {
		if !slices.ContainsFunc(licences, func(l struct{ name, words string }) bool { return l.name == name }) {
			return false
		}
	}
	return true
}

func (r requirement) row(licence string) string {
	by := "by relayd"
	if r.Indirect {
		by = "by others"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", r.Path, r.Version, licence, by)
}
