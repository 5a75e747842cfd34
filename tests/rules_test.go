package tests

import (
	"bytes"
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// An exemption lets a file, or with path:Func a function, break a rule. Its why
// is for the reader.
type exemption struct{ path, why string }

var (
	exitExempt = []exemption{
		{"tests/leak/main.go", "what is found after the tests must fail the test binary"},
	}
	skipExempt = []exemption{
		{"tests/program/program.go", "the one reason to skip a test: a program of others is missing"},
	}
	copyExempt = []exemption{
		{"relay/pump.go", "the copy through a chain with stages"},
		{"socket/copy.go", "the step for plain bytes"},
	}
	longFileExempt []exemption
	longFuncExempt []exemption
)

// The sizes that a reader can hold. Tests may be longer: their tables grow.
const (
	maxFileLines = 400
	maxFuncLines = 60
)

func exempt(list []exemption, path string) bool {
	return slices.ContainsFunc(list, func(e exemption) bool { return e.path == path })
}

// testing reports whether f is a test or helps tests.
func (f *goFile) testing() bool {
	return f.test || below(f.dir, "tests") || f.importName("testing") != ""
}

func (f *goFile) complain(at ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.line(at.Pos())) + fmt.Sprintf(format, args...)
}

// checkSleeps forbids tests and their helpers to sleep: a test that waits for a
// time instead of an event is slow when it passes and fails on a loaded machine.
func checkSleeps(t *tree) (complaints []string) {
	for _, f := range t.files {
		if !f.testing() {
			continue
		}
		for _, use := range f.uses("time", "Sleep") {
			complaints = append(complaints, f.complain(use, "time.Sleep in a test: wait for the event, or use testing/synctest"))
		}
	}
	return complaints
}

// checkDotImports forbids imports without a prefix, behind which other rules
// could not see.
func checkDotImports(t *tree) (complaints []string) {
	for _, f := range t.files {
		for _, spec := range f.ast.Imports {
			if spec.Name != nil && spec.Name.Name == "." {
				complaints = append(complaints, f.complain(spec, "%s is imported as a dot", spec.Path.Value))
			}
		}
	}
	return complaints
}

// checkGoroutines wants goroutines to have a named function as their body, so
// that a stack says what they are. A wg.Go may adapt one: a literal that is no
// more than a call.
func checkGoroutines(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.testing() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if _, ok := ast.Unparen(n.Call.Fun).(*ast.FuncLit); ok {
					complaints = append(complaints, f.complain(n, "go func: give the goroutine's body a name"))
				}
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && slices.ContainsFunc(n.Args, isLongLiteral) {
					complaints = append(complaints, f.complain(n, "Go(func) of more than a call: give the goroutine's body a name"))
				}
			}
			return true
		})
	}
	return complaints
}

// isLongLiteral reports whether an expression is a function literal that does
// more than to call something with a name.
func isLongLiteral(e ast.Expr) bool {
	lit, ok := e.(*ast.FuncLit)
	if !ok {
		return false
	}
	if len(lit.Body.List) != 1 {
		return true
	}
	var call ast.Expr
	switch s := lit.Body.List[0].(type) {
	case *ast.ExprStmt:
		call = s.X
	case *ast.ReturnStmt:
		if len(s.Results) == 1 {
			call = s.Results[0]
		}
	}
	c, ok := call.(*ast.CallExpr)
	if !ok {
		return true
	}
	_, ok = ast.Unparen(c.Fun).(*ast.FuncLit)
	return ok
}

// checkExits forbids packages to end the process, which only its main may.
func checkExits(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.test || f.ast.Name.Name == "main" || exempt(exitExempt, f.path) {
			continue
		}
		uses := append(f.uses("os", "Exit"), f.uses("log", "Fatal", "Fatalf", "Fatalln")...)
		for _, use := range uses {
			complaints = append(complaints, f.complain(use, "%s.%s outside of package main: return an error", use.X, use.Sel))
		}
	}
	return complaints
}

// checkSkips forbids to skip tests: a test that does not run proves nothing and
// looks like one that did. Skip on a *rapid.T rejects one made-up case, and is
// none of this.
func checkSkips(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.importName("testing") == "" || exempt(skipExempt, f.path) {
			continue
		}
		ast.Walk(skipVisitor{f: f, complaints: &complaints}, f.ast)
	}
	return complaints
}

// A skipVisitor finds calls of Skip. It knows the parameters of the functions
// around the node that it is at.
type skipVisitor struct {
	f          *goFile
	params     map[string]ast.Expr // types by name
	complaints *[]string
}

// Visit looks at one node.
func (v skipVisitor) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return v.inside(n.Type)
	case *ast.FuncLit:
		return v.inside(n.Type)
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) && v.isTest(sel.X) {
			*v.complaints = append(*v.complaints, v.f.complain(n, "%s: only program.Need may skip a test", sel.Sel.Name))
		}
	}
	return v
}

// inside returns the visitor of a function's body.
func (v skipVisitor) inside(fn *ast.FuncType) skipVisitor {
	params := make(map[string]ast.Expr)
	maps.Copy(params, v.params)
	for _, field := range fn.Params.List {
		for _, name := range field.Names {
			params[name.Name] = field.Type
		}
	}
	v.params = params
	return v
}

// isTest reports whether an expression is a testing.TB: a parameter of one of
// its types, or something that is not a parameter and has the name that those
// have.
func (v skipVisitor) isTest(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		if typ, ok := v.params[e.Name]; ok {
			return v.isTestType(typ)
		}
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	return slices.Contains([]string{"t", "b", "f", "tb"}, strings.ToLower(name))
}

func (v skipVisitor) isTestType(typ ast.Expr) bool {
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	sel, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == v.f.importName("testing")
}

// checkCopies forbids to copy streams but in the two places that do it for all:
// a third would have its own idea of half-close, of timeouts and of counting.
func checkCopies(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.testing() || exempt(copyExempt, f.path) {
			continue
		}
		for _, use := range f.uses("io", "Copy", "CopyBuffer", "CopyN") {
			complaints = append(complaints, f.complain(use, "io.%s: bytes are copied by relay's pump and by socket's step only", use.Sel))
		}
	}
	return complaints
}

// checkSizes wants files and functions of a size to read at once.
func checkSizes(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.test {
			continue
		}
		if n := bytes.Count(f.src, []byte("\n")); n > maxFileLines && !exempt(longFileExempt, f.path) {
			complaints = append(complaints, fmt.Sprintf("%s: %d lines, more than %d: split it by concern", f.path, n, maxFileLines))
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || exempt(longFuncExempt, f.path+":"+fn.Name.Name) {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFuncLines {
				complaints = append(complaints, f.complain(fn, "%s has %d lines, more than %d", fn.Name.Name, n, maxFuncLines))
			}
		}
	}
	return complaints
}

func TestSleeps(t *testing.T) { checkHouse(t, checkSleeps) }

func TestDotImports(t *testing.T) { checkHouse(t, checkDotImports) }

func TestGoroutines(t *testing.T) { checkHouse(t, checkGoroutines) }

func TestExits(t *testing.T) { checkHouse(t, checkExits) }

func TestSkips(t *testing.T) { checkHouse(t, checkSkips) }

func TestCopies(t *testing.T) { checkHouse(t, checkCopies) }

func TestSizes(t *testing.T) { checkHouse(t, checkSizes) }
