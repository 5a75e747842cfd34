package sandbox

// Grants are what needs come to on this file system.

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An access is what may be done with a file or below a directory.
type access uint8

const (
	read   access = 1 << iota // files and lists of directories
	run                       // programs
	write                     // files that are there
	create                    // files and sockets
	remove                    // files and sockets
	change                    // everything else: directories, links, moving between them
)

// The kinds of needs as accesses.
const (
	toRead   = read
	toRun    = read | run
	toWrite  = read | write // a file
	toAppend = read | write | create
	toCreate = read | write | create | remove
	toOwn    = read | write | create | remove | change
)

// A grant is a file or a directory, by the name that leads to it without links,
// and what may be done there.
type grant struct {
	path string
	dir  bool
	may  access
}

// grants are a set of them, each path once.
type grants struct {
	list    []grant
	missing []string // what is not there, or cannot be reached
}

// resolve returns what needs come to.
func resolve(n Needs) *grants {
	g := new(grants)
	for _, p := range n.Read {
		g.add(p, toRead)
	}
	for _, p := range n.Exec {
		g.add(p, toRun)
	}
	for _, p := range n.Create {
		g.add(p, toCreate)
	}
	for _, p := range n.Write {
		g.addWritten(p)
	}
	slices.SortFunc(g.list, func(a, b grant) int { return strings.Compare(a.path, b.path) })
	return g
}

// add grants access to a path that should be there.
func (g *grants) add(path string, may access) {
	info, err := os.Stat(path)
	if err != nil {
		g.missing = append(g.missing, path)
		return
	}
	g.put(path, info, may)
}

// addWritten grants what writing takes.
func (g *grants) addWritten(path string) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		g.put(path, info, toOwn)
		return
	case err == nil:
		g.put(path, info, toWrite)
		if !info.Mode().IsRegular() {
			return // a device or a pipe: nobody replaces it
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
	}
	g.add(filepath.Dir(path), toAppend)
}

// put adds a grant. What has no name of its own, as a pipe behind a link of
// /proc, the kernel does not restrict.
func (g *grants) put(path string, info fs.FileInfo, may access) {
	real, err := realPath(path)
	if err != nil {
		return
	}
	for i := range g.list {
		if g.list[i].path == real {
			g.list[i].may |= may
			return
		}
	}
	g.list = append(g.list, grant{real, info.IsDir(), may})
}

// realPath returns the absolute name of a path, without links.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// allows reports whether all that a grant gives is given by g, to its path or
// to directories above.
func (g *grants) allows(wanted grant) bool {
	left := wanted.may
	for _, have := range g.list {
		if have.path == wanted.path || have.dir && isBelow(wanted.path, have.path) {
			left &^= have.may
		}
	}
	return left == 0
}

// isBelow reports whether path is somewhere below dir. Both are clean.
func isBelow(path, dir string) bool {
	return dir == "/" || strings.HasPrefix(path, dir+"/")
}

// which returns the paths that an access is granted to, without those that are
// below others.
func (g *grants) which(may access) (paths []string) {
	for _, have := range g.list {
		above := func(path string) bool { return isBelow(have.path, path) }
		if have.may&may != 0 && !slices.ContainsFunc(paths, above) {
			paths = append(paths, have.path)
		}
	}
	return paths
}
