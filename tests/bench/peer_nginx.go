// Nginx needs its stream module, which may be a file of its own.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func nginxPeer(ctx context.Context) peer {
	p := peer{name: peerNginx, what: "two workers, proxy_half_close on"}
	if p.missing = installed("nginx", "nginx-light libnginx-mod-stream"); p.missing != nil {
		return p
	}
	build, err := exec.CommandContext(ctx, "nginx", "-V").CombinedOutput()
	if err != nil {
		p.missing = fmt.Errorf("nginx -V: %w", err)
		return p
	}
	module, err := streamModule(string(build))
	if err != nil {
		p.missing = err
		return p
	}
	p.command = func(r route) (*exec.Cmd, error) { return nginxCommand(r, module) }
	return p
}

var (
	modulesPath = regexp.MustCompile(`--modules-path=(\S+)`)
	prefixPath  = regexp.MustCompile(`--prefix=(\S+)`)
)

// streamModule returns the file of the stream module, given what nginx says of
// how it was built: "" if it is built in.
func streamModule(build string) (string, error) {
	words := strings.Fields(build)
	dynamic := false
	for _, w := range words {
		switch w {
		case "--with-stream":
			return "", nil
		case "--with-stream=dynamic":
			dynamic = true
		}
	}
	missing := errors.New("not installed: nginx is without its stream module: on Debian, apt-get install libnginx-mod-stream")
	if !dynamic {
		return "", missing
	}
	dir := "modules"
	if m := modulesPath.FindStringSubmatch(build); m != nil {
		dir = m[1]
	}
	if m := prefixPath.FindStringSubmatch(build); m != nil && !filepath.IsAbs(dir) {
		dir = filepath.Join(m[1], dir)
	}
	file := filepath.Join(dir, "ngx_stream_module.so")
	if _, err := os.Stat(file); err != nil {
		return "", missing
	}
	return file, nil
}

func nginxCommand(r route, module string) (*exec.Cmd, error) {
	load := ""
	if module != "" {
		load = "load_module " + module + ";"
	}
	config := fmt.Sprintf(`%s
daemon off;
worker_processes 2;
pid nginx.pid;
events { worker_connections %d; }
stream {
  server {
    listen %s backlog=4096;
    proxy_pass %s;
    proxy_half_close on;
    proxy_connect_timeout 10s;
    proxy_timeout 10m;
  }
}
`, load, min(12000, r.maxFiles), r.listen, r.to)
	file := filepath.Join(r.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return exec.Command("nginx", "-p", r.dir, "-c", file, "-e", "stderr"), nil
}
