package tests

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
	"testing"
	"unicode"
)

// checkPackageComments wants one comment on each package, in one of its files,
// that begins the way go doc expects: "Package socket ...", and for a program
// its name or "Command". A comment directly above the package clause of a
// second file would become part of the first, in an order nobody chose.
func checkPackageComments(t *tree) (complaints []string) {
	type pkg struct{ dir, name string }
	var order []pkg
	comments := make(map[pkg][]*goFile)
	for _, f := range t.files {
		if f.test {
			continue // go doc does not look there
		}
		p := pkg{f.dir, f.ast.Name.Name}
		if _, ok := comments[p]; !ok {
			order = append(order, p)
			comments[p] = nil
		}
		if f.ast.Doc != nil {
			comments[p] = append(comments[p], f)
		}
	}
	for _, p := range order {
		documented := comments[p]
		if len(documented) == 0 {
			complaints = append(complaints, fmt.Sprintf("%s: package %s has no package comment", p.dir, p.name))
			continue
		}
		for _, f := range documented[1:] {
			complaints = append(complaints, fmt.Sprintf(
				"%s: a second package comment beside the one in %s: put an empty line after it",
				f.path, path.Base(documented[0].path)))
		}
		if first := documented[0]; !beginsPackage(first) {
			complaints = append(complaints, fmt.Sprintf(
				"%s: the package comment should begin with %q", first.path, packageStart(first)))
		}
	}
	return complaints
}

// beginsPackage reports whether a package comment begins as it should.
func beginsPackage(f *goFile) bool {
	text := f.ast.Doc.Text()
	if strings.HasPrefix(text, packageStart(f)+" ") {
		return true
	}
	first, _, _ := strings.Cut(text, " ")
	return f.ast.Name.Name == "main" && strings.EqualFold(first, path.Base(f.dir))
}

func packageStart(f *goFile) string {
	if f.ast.Name.Name == "main" {
		return "Command " + path.Base(f.dir)
	}
	return "Package " + f.ast.Name.Name
}

// checkDocs wants a doc comment that begins with the name on each exported
// function, type, variable and constant, and on each exported method of an
// exported type. A group of variables or constants may have one for all, and
// methods whose name says all (selfEvident) need none.
func checkDocs(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				name := exportedFunc(d)
				if name != "" && !(d.Doc == nil && d.Recv != nil && selfEvident[d.Name.Name]) {
					complaints = append(complaints, f.checkDoc(d, name, d.Doc, false)...)
				}
			case *ast.GenDecl:
				complaints = append(complaints, f.checkGroup(d)...)
			}
		}
	}
	return complaints
}

// selfEvident are methods that are the same everywhere.
var selfEvident = map[string]bool{"Error": true, "String": true, "Unwrap": true}

// exportedFunc returns the name of an exported function or T.Name of an
// exported method of an exported type, and "" for all others.
func exportedFunc(d *ast.FuncDecl) string {
	switch {
	case !d.Name.IsExported():
		return ""
	case d.Recv == nil:
		return d.Name.Name
	}
	recv := d.Recv.List[0].Type
	for {
		switch t := recv.(type) {
		case *ast.StarExpr:
			recv = t.X
		case *ast.ParenExpr:
			recv = t.X
		case *ast.IndexExpr:
			recv = t.X
		case *ast.IndexListExpr:
			recv = t.X
		case *ast.Ident:
			if !t.IsExported() {
				return ""
			}
			return t.Name + "." + d.Name.Name
		default:
			return ""
		}
	}
}

// checkGroup checks a declaration of types, variables or constants.
func (f *goFile) checkGroup(d *ast.GenDecl) (complaints []string) {
	group := d.Lparen.IsValid()
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			doc := s.Doc
			if doc == nil && !group {
				doc = d.Doc
			}
			if s.Name.IsExported() {
				complaints = append(complaints, f.checkDoc(s, s.Name.Name, doc, true)...)
			}
		case *ast.ValueSpec:
			doc := d.Doc
			if s.Doc != nil {
				doc = s.Doc
			}
			for _, name := range s.Names {
				switch {
				case !name.IsExported():
				case !group && len(s.Names) == 1:
					complaints = append(complaints, f.checkDoc(s, name.Name, doc, false)...)
				case doc == nil && s.Comment == nil:
					complaints = append(complaints, f.noDoc(s, name.Name))
				}
			}
		}
	}
	return complaints
}

// checkDoc checks the doc comment of one name. For a method, name is T.Name.
func (f *goFile) checkDoc(at ast.Node, name string, doc *ast.CommentGroup, article bool) []string {
	text := doc.Text()
	if text == "" {
		return []string{f.noDoc(at, name)}
	}
	if article {
		for _, a := range []string{"A ", "An ", "The "} {
			text = strings.TrimPrefix(text, a)
		}
	}
	rest, ok := strings.CutPrefix(text, name[strings.LastIndexByte(name, '.')+1:])
	if ok && !strings.HasPrefix(rest, "_") && strings.IndexFunc(rest, isAlnum) != 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s:%d: the doc comment of %s should begin with its name", f.path, f.line(at.Pos()), name)}
}

func isAlnum(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func (f *goFile) noDoc(at ast.Node, name string) string {
	return fmt.Sprintf("%s:%d: exported %s has no doc comment", f.path, f.line(at.Pos()), name)
}

func TestPackageComments(t *testing.T) { checkHouse(t, checkPackageComments) }

func TestDocs(t *testing.T) { checkHouse(t, checkDocs) }

func TestPackageCommentsPlanted(t *testing.T) {
	checkPlants(t, checkPackageComments, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/doc.go":          "// Package a is good.\npackage a\n",
				"a/a.go":            "// This file is about more.\n\npackage a\n",
				"a/a_test.go":       "package a\n",
				"a/b_test.go":       "// A comment.\npackage a_test\n",
				"cmd/b/main.go":     "// B does things.\npackage main\n",
				"cmd/c/main.go":     "// Command c does things.\npackage main\n",
				"onlytests_test.go": "package onlytests\n",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go":        "package a\n",
				"a/a_test.go":   "// Package a is documented in the wrong place.\npackage a\n",
				"b/b.go":        "// A pump moves bytes.\npackage b\n",
				"b/doc.go":      "// Package b is good.\npackage b\n",
				"c/c.go":        "// Package cc has another name.\npackage c\n",
				"cmd/d/main.go": "// Package main is no name for a program.\npackage main\n",
				"e/e.go":        "//go:build linux\n\npackage e\n",
			},
			want: []string{
				"a: package a has no package comment",
				"b/doc.go: a second package comment beside the one in b.go: put an empty line after it",
				`b/b.go: the package comment should begin with "Package b"`,
				`c/c.go: the package comment should begin with "Package c"`,
				`cmd/d/main.go: the package comment should begin with "Command d"`,
				"e: package e has no package comment",
			},
		},
	})
}

func TestDocsPlanted(t *testing.T) {
	checkPlants(t, checkDocs, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go": `package a

// A T is good.
type T[K any] struct{ Field int }

// An Err too.
type Err struct{}

// Do does.
func (t *T[K]) Do() {}

func (t *T[K]) hidden() {}

func (*Err) Error() string { return "" }

type hidden struct{}

func (hidden) Exported() {}

// Default is 7.
const Default = 7

// The kinds.
const (
	One = iota
	Two
)

var (
	// ErrGone: it is gone.
	ErrGone error
	ErrFull error // it is full
)

// Reader and Writer come as a pair.
var Reader, Writer int

// Name: a colon may follow.
func Name() {}

type (
	// List is in a group.
	List []int
)
`,
				"a/a_test.go":   "package a\n\nfunc Exported() {}\n",
				"cmd/b/main.go": "package main\n\nfunc Exported() {}\n",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go": `package a

type T struct{}

// Does it.
func (t *T) Do() {}

func (t T) Undone() {}

// Text of t.
func (t T) String() string { return "" }

// Names is another word.
func Name() {}

const Default = 7

// The default.
var Size = 8

const (
	One = 1
	Two = 2 // documented
)

// Types in a group need their own.
type (
	List []int
)

//go:noinline
func Directive() {}
`,
			},
			want: []string{
				"a/a.go:3: exported T has no doc comment",
				"a/a.go:6: the doc comment of T.Do should begin with its name",
				"a/a.go:8: exported T.Undone has no doc comment",
				"a/a.go:11: the doc comment of T.String should begin with its name",
				"a/a.go:14: the doc comment of Name should begin with its name",
				"a/a.go:16: exported Default has no doc comment",
				"a/a.go:19: the doc comment of Size should begin with its name",
				"a/a.go:22: exported One has no doc comment",
				"a/a.go:28: exported List has no doc comment",
				"a/a.go:32: exported Directive has no doc comment",
			},
		},
	})
}
