package tests

import (
	"fmt"
	"go/ast"
	"testing"
)

// checkDescriptors keeps raw descriptors inside of package socket: whoever has the
// number of one can close it under us, or use it after us. No exported function,
// method, field, variable or interface of the package has one in its type or is
// named like those that hand one out. Address.FD is what a user writes.
func checkDescriptors(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.test || f.dir != "socket" {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if name := exportedFunc(d); name != "" {
					complaints = append(complaints, f.checkHandsOut(d, name, d.Name.Name, d.Type)...)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					complaints = append(complaints, f.checkSpec(spec)...)
				}
			}
		}
	}
	return complaints
}

// checkSpec checks a type, or variables or constants.
func (f *goFile) checkSpec(spec ast.Spec) (complaints []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		switch u := s.Type.(type) {
		case *ast.StructType:
			return f.checkMembers(s.Name.Name, u.Fields)
		case *ast.InterfaceType:
			return f.checkMembers(s.Name.Name, u.Methods)
		}
		return f.checkHandsOut(s, s.Name.Name, "", s.Type)
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Type != nil {
				complaints = append(complaints, f.checkHandsOut(s, name.Name, "", s.Type)...)
			}
		}
	}
	return complaints
}

// checkMembers checks the fields of a struct or the methods of an interface.
// Those that are embedded give theirs away.
func (f *goFile) checkMembers(of string, list *ast.FieldList) (complaints []string) {
	for _, m := range list.List {
		if len(m.Names) == 0 {
			complaints = append(complaints, f.checkHandsOut(m, of, "", m.Type)...)
		}
		for _, name := range m.Names {
			if !name.IsExported() {
				continue
			}
			called := ""
			if _, ok := m.Type.(*ast.FuncType); ok {
				called = name.Name
			}
			complaints = append(complaints, f.checkHandsOut(m, of+"."+name.Name, called, m.Type)...)
		}
	}
	return complaints
}

// handsOut are methods that hand a descriptor out, whatever their type.
var handsOut = map[string]bool{"Fd": true, "FD": true, "File": true, "SyscallConn": true, "Control": true}

// checkHandsOut looks for descriptors in the type of what is named name, and, if
// it can be called, at how.
func (f *goFile) checkHandsOut(at ast.Node, name, called string, typ ast.Expr) (complaints []string) {
	if handsOut[called] {
		complaints = append(complaints, f.complain(at, "%s hands a descriptor out", name))
	}
	ast.Inspect(typ, func(n ast.Node) bool {
		what := ""
		switch x := n.(type) {
		case *ast.Ident:
			if x.Name == "uintptr" {
				what = x.Name
			}
		case *ast.SelectorExpr:
			pkg, ok := x.X.(*ast.Ident)
			if !ok {
				break
			}
			switch {
			case pkg.Name == f.importName("os") && x.Sel.Name == "File",
				pkg.Name == f.importName("syscall") && (x.Sel.Name == "RawConn" || x.Sel.Name == "Conn" || x.Sel.Name == "Handle"):
				what = fmt.Sprintf("%s.%s", pkg.Name, x.Sel.Name)
			}
		}
		if what != "" {
			complaints = append(complaints, f.complain(at, "%s has a descriptor in its type: %s", name, what))
		}
		return true
	})
	return complaints
}

// checkSocketErrors allows SO_ERROR to be read in one place: it takes the error
// away from the operation that should have met it.
func checkSocketErrors(t *tree) (complaints []string) {
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, pkg := range []string{"golang.org/x/sys/unix", "syscall"} {
			for _, use := range f.uses(pkg, "SO_ERROR") {
				if f.path != "socket/connect_linux.go" {
					complaints = append(complaints, f.complain(use, "SO_ERROR takes an error away from a half: only a dial, which has none yet, may read it"))
				}
			}
		}
	}
	return complaints
}

func TestDescriptors(t *testing.T) { checkHouse(t, checkDescriptors) }

func TestSocketErrors(t *testing.T) { checkHouse(t, checkSocketErrors) }

func TestDescriptorsPlanted(t *testing.T) {
	checkPlants(t, checkDescriptors, []plant{
		{
			name: "good",
			files: map[string]string{
				"socket/a.go": "package socket\n\nimport (\n\t\"os\"\n\t\"syscall\"\n)\n\n" +
					"type Socket struct{ f *os.File }\n\nfunc (s *Socket) fd() uintptr { return s.f.Fd() }\n\n" +
					"type conn struct{ *os.File }\n\nfunc (c conn) File() *os.File { return c.File() }\n\n" +
					"type Address struct{ FD int }\n\nconst FD = 4\n\nvar raw syscall.RawConn\n\n" +
					"func Errno(e syscall.Errno) bool { return e == 0 }\n",
				"relay/a.go": "package relay\n\nfunc Size() uintptr { return 8 }\n",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"socket/a.go": "package socket\n\nimport (\n\t\"os\"\n\tsys \"syscall\"\n)\n\n" +
					"type Socket struct{ F *os.File }\n\n" +
					"func (s *Socket) Number() uintptr { return s.F.Fd() }\n\n" +
					"func (s *Socket) Fd() int { return 1 }\n\n" +
					"func Open(f *os.File) {}\n\n" +
					"type Conn struct{ *os.File }\n\n" +
					"type Raw interface{ SyscallConn() (sys.RawConn, error) }\n\n" +
					"var Stdin *os.File\n\n" +
					"type Number uintptr\n\n" +
					"func Each(f func(fd uintptr)) {}\n",
			},
			want: []string{
				"socket/a.go:8: Socket.F has a descriptor in its type: os.File",
				"socket/a.go:10: Socket.Number has a descriptor in its type: uintptr",
				"socket/a.go:12: Socket.Fd hands a descriptor out",
				"socket/a.go:14: Open has a descriptor in its type: os.File",
				"socket/a.go:16: Conn has a descriptor in its type: os.File",
				"socket/a.go:18: Raw.SyscallConn hands a descriptor out",
				"socket/a.go:18: Raw.SyscallConn has a descriptor in its type: sys.RawConn",
				"socket/a.go:20: Stdin has a descriptor in its type: os.File",
				"socket/a.go:22: Number has a descriptor in its type: uintptr",
				"socket/a.go:24: Each has a descriptor in its type: uintptr",
			},
		},
	})
}

func TestSocketErrorsPlanted(t *testing.T) {
	checkPlants(t, checkSocketErrors, []plant{
		{
			name: "good",
			files: map[string]string{
				"socket/connect_linux.go": "package socket\n\nimport \"golang.org/x/sys/unix\"\n\nvar x = unix.SO_ERROR\n",
				"socket/a_test.go":        "package socket\n\nimport \"golang.org/x/sys/unix\"\n\nvar y = unix.SO_ERROR\n",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"socket/half.go": "package socket\n\nimport \"golang.org/x/sys/unix\"\n\nvar x = unix.SO_ERROR\n",
				"relay/a.go":     "package relay\n\nimport \"syscall\"\n\nvar y = syscall.SO_ERROR\n",
			},
			want: []string{
				"relay/a.go:5: SO_ERROR takes an error away from a half: only a dial, which has none yet, may read it",
				"socket/half.go:5: SO_ERROR takes an error away from a half: only a dial, which has none yet, may read it",
			},
		},
	})
}
