package main

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"relayd/cmd/relayd/internal/sandbox"
	"relayd/socket"
	"relayd/transform"
)

// What a configuration works with, by which it can be restricted. Whatever comes
// to open a file after the start has a line here.

// configNeeds are the needs of a configuration while they are gathered.
type configNeeds struct {
	sandbox.Needs
	names    bool // of hosts, users or groups are looked up
	programs bool // are run, whose own needs nobody knows
}

// needs are those of what was configured.
func (c *confinement) needs() configNeeds {
	var n configNeeds
	n.Add(sandbox.Base(), c.paths.Needs)
	for _, l := range c.relay.Listeners {
		n.addListener(l.Address)
		n.names = n.names || ownedByName(l.Address)
	}
	for _, u := range c.relay.Upstreams {
		for _, t := range u.Targets {
			n.addUpstream(t.Address)
		}
	}
	for _, r := range c.relay.Routes {
		n.addStages(r.Up.Needs())
		n.addStages(r.Down.Needs())
	}
	for _, p := range []*adminPlace{&c.admin.at, &c.admin.view} {
		if a, err := p.resolve(); err == nil && !p.none && (p.chosen || p == &c.admin.at) {
			n.addListener(a)
		}
	}
	if c.admin.tokenFile != "" {
		n.Read = append(n.Read, c.admin.tokenFile)
	}
	if c.conf.File != "" {
		n.addRenewed(c.conf.File)
		for _, name := range c.conf.Files() {
			n.addRenewed(name)
		}
	}
	if path := string(c.conf.ReadyFile); path != "" {
		n.Create = append(n.Create, filepath.Dir(path))
	}
	if n.names {
		n.Add(sandbox.Names())
	}
	if n.programs || len(c.paths.Exec) > 0 {
		n.Add(sandbox.Programs())
	}
	return n
}

// addListener adds what listening at an address takes: the directory of a socket
// file, in which it is made, locked, and removed at the end.
func (n *configNeeds) addListener(a socket.Address) {
	if a.Kind == socket.Unix && !a.Abstract {
		n.Create = append(n.Create, filepath.Dir(a.Path))
		return
	}
	n.addUpstream(a)
}

// ownedByName reports whether whose a socket file is has to be looked up. A reload
// may open another one.
func ownedByName(a socket.Address) bool {
	for o := range strings.SplitSeq(a.Options, "&") {
		if owner, ok := strings.CutPrefix(o, "owner="); ok {
			return strings.Trim(owner, "0123456789:") != ""
		}
	}
	return false
}

// addUpstream adds what dialling an address takes. Connecting to a Unix socket
// takes none of what is restricted.
func (n *configNeeds) addUpstream(a socket.Address) {
	for _, name := range a.Files() {
		n.addRenewed(name)
	}
	switch a.Kind {
	case socket.TLS:
		n.Add(sandbox.Roots())
		fallthrough
	case socket.TCP:
		if _, err := netip.ParseAddr(a.Host); err != nil && a.Host != "" {
			n.names = true
		}
	case socket.Exec:
		n.addProgram(a.Path)
	}
}

// maxLinks is how many links the kernel follows.
const maxLinks = 40

// addRenewed adds a file that is read again later. It is its folder that is added:
// who edits it, or renews a certificate, puts a new file in its place. If it is a
// link, as certbot and Kubernetes have it, that place is where the link leads.
func (n *configNeeds) addRenewed(name string) {
	for range maxLinks {
		dir := filepath.Dir(name)
		n.Read = append(n.Read, dir)
		to, err := os.Readlink(name)
		if err != nil {
			return
		}
		if !filepath.IsAbs(to) {
			if dir, err = filepath.EvalSymlinks(dir); err != nil { // .. is of the real one
				return
			}
			to = filepath.Join(dir, to)
		}
		name = to
	}
}

// addStages adds what stages work with.
func (n *configNeeds) addStages(s transform.Needs) {
	n.Read = append(n.Read, s.Read...)
	n.Write = append(n.Write, s.Write...)
	n.Create = append(n.Create, s.WriteIn...)
	for _, text := range s.Dial {
		if a, err := socket.ParseAddress(text); err == nil {
			n.addUpstream(a)
		}
	}
	for _, program := range s.Run {
		n.addProgram(program)
	}
}

// addModules adds the folders of what stages read. A reload parses them again, and
// who builds a module anew puts another file in its place. A stage that comes later
// does not need it, and may have its file alone.
func (n *configNeeds) addModules(s transform.Needs) {
	for _, name := range s.Read {
		n.addRenewed(name)
	}
}

// addProgram adds a program and, if it is a script, what runs it.
func (n *configNeeds) addProgram(name string) {
	n.programs = true
	path, err := exec.LookPath(name)
	if err != nil {
		path = name
	}
	n.Exec = append(n.Exec, path)
	if by := interpreter(path); by != "" {
		n.Exec = append(n.Exec, by)
	}
}

// maxInterpreter is how much of a script the kernel looks at.
const maxInterpreter = 256

// interpreter returns the program that the first line of a script names.
func interpreter(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	start, _ := io.ReadAll(io.LimitReader(file, maxInterpreter))
	line, _, _ := bytes.Cut(start, []byte("\n"))
	words := bytes.Fields(bytes.TrimPrefix(line, []byte("#!")))
	if !bytes.HasPrefix(line, []byte("#!")) || len(words) == 0 {
		return ""
	}
	return string(words[0])
}
