package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place makes a directory with files, and returns its name without links.
func place(t *testing.T, files ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestResolve(t *testing.T) {
	dir := place(t, "a", "sub/b")
	if err := os.Symlink("sub/b", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		n    Needs
		want string // path:access, by path
	}{
		{"read", Needs{Read: []string{"a", "sub", "none"}}, "a:r sub/:r"},
		{"run", Needs{Exec: []string{"a"}}, "a:rx"},
		{"links are followed", Needs{Read: []string{"link"}}, "sub/b:r"},
		{"a file that is there, and its successor", Needs{Write: []string{"sub/b"}}, "sub/:rwc sub/b:rw"},
		{"behind a link", Needs{Write: []string{"link"}}, "sub/:rwc sub/b:rw"},
		{"a file that is not", Needs{Write: []string{"sub/new"}}, "sub/:rwc"},
		{"where there is no directory", Needs{Write: []string{"nowhere/new"}}, ""},
		{"everything below", Needs{Write: []string{"sub"}}, "sub/:rwcdm"},
		{"sockets", Needs{Create: []string{"sub"}}, "sub/:rwcd"},
		{"once each", Needs{Read: []string{"a", "./a"}, Exec: []string{"a"}}, "a:rx"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(dir)
			var got []string
			for _, g := range resolve(tt.n).list {
				name := strings.TrimPrefix(g.path, dir+"/")
				if g.dir {
					name += "/"
				}
				letters := ""
				for i, letter := range "rxwcdm" {
					if g.may&(1<<i) != 0 {
						letters += string(letter)
					}
				}
				got = append(got, name+":"+letters)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
		})
	}
}

// A device is written to, and nothing is made beside it.
func TestResolveDevice(t *testing.T) {
	g := resolve(Needs{Write: []string{os.DevNull}})
	if got, want := fmt.Sprint(g.list), fmt.Sprint([]grant{{os.DevNull, false, toWrite}}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCovers(t *testing.T) {
	dir := place(t, "in/a", "in/deep/b", "out/c", "other/d")
	t.Chdir(dir)
	r := &Report{ABI: 1, granted: resolve(Needs{
		Read: []string{"in"}, Write: []string{"out/c"}, Create: []string{"out"}, Exec: []string{"in/deep"},
	})}
	tests := []struct {
		n    Needs
		want string // what is missing
	}{
		{Needs{}, ""},
		{Needs{Read: []string{"in", "in/a", "in/deep/b"}}, ""},
		{Needs{Exec: []string{"in/deep/b"}}, ""},
		{Needs{Write: []string{"out/c", "out/new"}, Create: []string{"out"}}, ""},
		{Needs{Read: []string{"in/none", "other/none"}}, ""},
		{Needs{Read: []string{"other/d"}}, "read other/d"},
		{Needs{Read: []string{"."}}, "read ."},
		{Needs{Exec: []string{"in/a"}}, "run in/a"},
		{Needs{Write: []string{"in/a"}}, "write in/a"},
		{Needs{Write: []string{"out"}}, "write out"},
		{Needs{Create: []string{"in", "other"}}, "create files in in, create files in other"},
	}
	for _, tt := range tests {
		err := r.Covers(tt.n)
		var denied *DeniedError
		got := ""
		if errors.As(err, &denied) {
			got = strings.Join(denied.Paths, ", ")
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.n, got, tt.want)
		}
	}
	err := r.Covers(Needs{Read: []string{"other/d"}})
	want := "this needs to read other/d, which the sandbox does not allow: add it to sandbox.paths (--sandbox-path) and restart"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	for _, open := range []*Report{nil, {Unrestricted: "why"}} {
		if err := open.Covers(Needs{Read: []string{"other/d"}}); err != nil {
			t.Errorf("without a sandbox: %v", err)
		}
	}
}

func TestNeedsAdd(t *testing.T) {
	n := Needs{Read: []string{"a"}}
	n.Add(Needs{Read: []string{"b"}, Write: []string{"c"}}, Needs{Exec: []string{"d"}, Create: []string{"e"}})
	if got := fmt.Sprint(n); got != "{[a b] [c] [d] [e]}" {
		t.Error(got)
	}
}

// The authorities that variables name are read when the first one is asked for,
// which is inside the sandbox: no peer was trusted any more.
func TestRootsOfVariables(t *testing.T) {
	dir := place(t, "links/x", "real/ca.pem", "one/a", "two/b")
	if err := os.Symlink("../real/ca.pem", dir+"/links/ca.pem"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", dir+"/links/ca.pem")
	t.Setenv("SSL_CERT_DIR", dir+"/one:"+dir+"/two")
	g := resolve(Roots())
	for _, name := range []string{"real/ca.pem", "one/a", "two/b"} {
		if !g.allows(grant{dir + "/" + name, false, toRead}) {
			t.Errorf("%s is out of reach: %v", name, g.list)
		}
	}
}
