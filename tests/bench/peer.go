// A peer is a relay to measure.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The names of peers that others are compared with.
const (
	peerDirect     = "direct"
	peerRelayd     = "relayd"
	peerGoroutines = "relayd-goroutines"
	peerHAProxy    = "haproxy"
	peerSplice     = "haproxy-splice"
	peerNginx      = "nginx"
	peerNaive      = "naive"
)

// A peer is how to start a relay.
type peer struct {
	name string
	what string // it is, in a few words

	// missing is why there is no such relay here, and what to do, if so.
	missing error

	// command returns the relay's command between two addresses. Files go to
	// dir. Nil for the peer that has no relay.
	command func(r route) (*exec.Cmd, error)
}

// A route is where a relay shall listen, and to where it shall relay.
type route struct {
	listen, to string // HOST:PORT
	beside     string // where a plain route beside it shall relay to; "" for none
	dir        string // for the relay's files
	maxFiles   int    // that a process may have open
}

// A toolbox is what peers are made from.
type toolbox struct {
	relayd string // the program
}

// peers returns all peers, in the order in which they are shown.
func (t toolbox) peers(ctx context.Context) []peer {
	list := []peer{
		{name: peerDirect, what: "no relay: straight to the backend"},
		{name: peerRelayd, what: "as it comes", command: t.relaydCommand()},
	}
	if t.hasEventLoops(ctx) {
		list = append(list, peer{name: peerGoroutines, what: "--event-loop=off", command: t.relaydCommand("--event-loop=off")})
	}
	haproxy := installed("haproxy", "haproxy")
	return append(list,
		peer{name: peerHAProxy, what: "two threads", missing: haproxy, command: haproxyCommand()},
		peer{name: peerSplice, what: "two threads, splicing both ways", missing: haproxy, command: haproxyCommand(splicing...)},
		nginxPeer(ctx),
		peer{name: "socat", what: "a process for each connection", missing: installed("socat", "socat"), command: socatCommand},
		peer{name: peerNaive, what: "Go, two io.Copy", command: naiveCommand},
	)
}

// installed returns nil if a program is installed, and otherwise what to do.
func installed(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("not installed: on Debian, apt-get install %s", pkg)
	}
	return nil
}

// relaydCommand is the one place that knows relayd's command line.
func (t toolbox) relaydCommand(flags ...string) func(route) (*exec.Cmd, error) {
	return func(r route) (*exec.Cmd, error) {
		args := append([]string{"-l", r.listen, "-t", r.to, "--log-level", "error",
			"--admin", filepath.Join(r.dir, "admin.sock")}, flags...)
		return exec.Command(t.relayd, args...), nil
	}
}

// hasEventLoops reports whether this relayd can do without its event loops.
func (t toolbox) hasEventLoops(ctx context.Context) bool {
	help, err := exec.CommandContext(ctx, t.relayd, "run", "--help").CombinedOutput()
	return err == nil && strings.Contains(string(help), "--event-loop")
}

// splicing makes HAProxy splice. The splice-auto option leaves it to a guess at
// how a stream begins: those here begin by a header, and it never splices them.
var splicing = []string{"option splice-request", "option splice-response"}

func haproxyCommand(options ...string) func(route) (*exec.Cmd, error) {
	return func(r route) (*exec.Cmd, error) {
		// Two sockets a connection, and two ends of a pipe for every fourth.
		maxconn := min(6000, r.maxFiles*2/5-100)
		file := filepath.Join(r.dir, "haproxy.cfg")
		config := fmt.Sprintf(`global
  nbthread 2
  maxconn %d
defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m
  %s
listen bench
  bind %s
  server backend %s
`, maxconn, strings.Join(options, "\n  "), r.listen, r.to)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		return exec.Command("haproxy", "-db", "-f", file), nil
	}
}

// socatCommand gives socat what it needs to relay well: without nodelay it waits
// for acknowledgements, and with its own -t it cuts answers after half a second.
func socatCommand(r route) (*exec.Cmd, error) {
	host, port, ok := strings.Cut(r.listen, ":")
	if !ok {
		return nil, fmt.Errorf("%s has no port", r.listen)
	}
	return exec.Command("socat", "-t", "600",
		"TCP4-LISTEN:"+port+",bind="+host+",fork,reuseaddr,backlog=4096,nodelay",
		"TCP4:"+r.to+",nodelay"), nil
}

func naiveCommand(r route) (*exec.Cmd, error) { return role(roleNaive, r.listen, r.to) }
