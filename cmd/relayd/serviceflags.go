package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/sandbox"
)

// serviceFlags say what relayd may do on this machine, and as whom.
type serviceFlags struct {
	user    string
	nofile  fileCount
	sandbox choice
	paths   sandboxPaths
}

// The words of --sandbox.
const (
	sandboxTry = "try"
	sandboxOn  = "on"
	sandboxOff = "off"
)

func (f *serviceFlags) add(set *pflag.FlagSet) {
	f.sandbox = choice{value: sandboxTry, of: []string{sandboxTry, sandboxOn, sandboxOff}}
	set.StringVar(&f.user, "user", "", "once it listens, become `USER[:GROUP]` for good; needs root")
	set.Var(&f.nofile, "nofile", "have room for `NUMBER` descriptors, two for each conn; auto is the hard limit")
	set.Var(&f.sandbox, "sandbox", "keep to the files that the flags name: `WORD` is try, on (fail where that cannot be), or off")
	set.Var(&f.paths, "sandbox-path", "and `PATH[:r|rw|rx|rwx]`, for programs of exec and stages that come later; repeatable")
}

// A fileCount is how many descriptors the process may have; 0, auto, is as many
// as it can get.
type fileCount uint64

// minFiles is what relayd takes with a few conns.
const minFiles = 64

func (n *fileCount) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 31)
	switch {
	case s == "auto":
		v = 0
	case err != nil || v < minFiles:
		return fmt.Errorf("%q is not auto, or a number of descriptors from %d to %d", s, minFiles, math.MaxInt32)
	}
	*n = fileCount(v)
	return nil
}

func (n *fileCount) String() string {
	if *n == 0 {
		return "auto"
	}
	return strconv.FormatUint(uint64(*n), 10)
}

func (n *fileCount) Type() string { return "number" }

// sandboxPaths are paths and what may be done there.
type sandboxPaths struct {
	list []string // as they were given
	sandbox.Needs
}

func (p *sandboxPaths) Set(s string) error {
	path, may := s, "r"
	if at := strings.LastIndexByte(s, ':'); at >= 0 {
		path, may = s[:at], s[at+1:]
	}
	if path == "" || may != "r" && may != "rw" && may != "rx" && may != "rwx" {
		return fmt.Errorf("%q is not PATH, which is read, or PATH:rw, PATH:rx or PATH:rwx", s)
	}
	p.list = append(p.list, s)
	p.Read = append(p.Read, path)
	if strings.Contains(may, "w") {
		p.Write = append(p.Write, path)
	}
	if strings.Contains(may, "x") {
		p.Exec = append(p.Exec, path)
	}
	return nil
}

func (p *sandboxPaths) String() string { return strings.Join(p.list, ",") }
func (p *sandboxPaths) Type() string   { return "path" }
