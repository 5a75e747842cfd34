package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// module is the project's module path.
const module = "relayd"

// A tree is a project as the house rules see it: its Go files, parsed, and all
// of its files.
type tree struct {
	fsys  fs.FS
	files []*goFile // in lexical order
	all   []string  // paths of all files
}

// A goFile is a Go file, for whatever system it is built.
type goFile struct {
	path string // from the top, with slashes
	dir  string
	test bool // a _test.go file
	src  []byte
	fset *token.FileSet
	ast  *ast.File
}

// readTree reads all files but those that the go command does not see as part
// of the module, or that git keeps for itself.
func readTree(fsys fs.FS) (*tree, error) {
	t := &tree{fsys: fsys}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		t.all = append(t.all, name)
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		f, err := parse(fsys, name)
		if err != nil {
			return err
		}
		t.files = append(t.files, f)
		return nil
	})
	return t, err
}

func parse(fsys fs.FS, name string) (*goFile, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &goFile{
		path: name,
		dir:  path.Dir(name),
		test: strings.HasSuffix(name, "_test.go"),
		src:  src,
		fset: fset,
		ast:  file,
	}, nil
}

// line returns the line of a position.
func (f *goFile) line(p token.Pos) int { return f.fset.Position(p).Line }

// importName returns the name under which f knows the package of an import
// path: "" if it does not import it, "." if it has its names without a prefix.
func (f *goFile) importName(importPath string) string {
	for _, spec := range f.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// uses returns the selectors in f that name something in the package of an
// import path: time.Sleep, for "time" and "Sleep".
func (f *goFile) uses(importPath string, names ...string) []*ast.SelectorExpr {
	pkg := f.importName(importPath)
	var found []*ast.SelectorExpr
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg && slices.Contains(names, sel.Sel.Name) {
				found = append(found, sel)
			}
		}
		return true
	})
	return found
}

// house is this project.
var house = sync.OnceValues(func() (*tree, error) { return readTree(os.DirFS("..")) })

// A rule returns what is wrong with a tree, a line each.
type rule func(*tree) []string

// checkHouse holds a rule against this project.
func checkHouse(t *testing.T, r rule) {
	t.Helper()
	h, err := house()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.files) == 0 {
		t.Fatal("found no Go files: a rule cannot be broken by nothing")
	}
	for _, complaint := range r(h) {
		t.Error(complaint)
	}
}

// A plant is a project made up for testing a rule, and all that the rule must
// say about it.
type plant struct {
	name  string
	files map[string]string // contents by path
	want  []string
}

func checkPlants(t *testing.T, r rule, plants []plant) {
	t.Helper()
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			fsys := make(fstest.MapFS)
			for name, content := range p.files {
				fsys[name] = &fstest.MapFile{Data: []byte(content)}
			}
			planted, err := readTree(fsys)
			if err != nil {
				t.Fatal(err)
			}
			if got := r(planted); !slices.Equal(got, p.want) {
				t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(p.want, "\n\t"))
			}
		})
	}
}
