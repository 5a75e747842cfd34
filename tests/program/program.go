// Package program finds the programs of others that tests run against relayd:
// netcat, socat, strace. On a developer's machine a test whose program is
// missing is skipped, with the reason; in continuous integration, where CI=true
// is set, it fails, so that no test is ever left out unseen. This is the only
// place that skips a test.
//
// It also builds relayd itself for those who run it as a program, and runs the
// test's own binary again in a process of its own.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// debian maps a program to the Debian package that has it, where the names
// differ.
var debian = map[string]string{
	"ip":  "iproute2",
	"man": "man-db",
	"nc":  "netcat-openbsd",
	"ps":  "procps",
	"ss":  "iproute2",

	"redis-benchmark": "redis-tools",
	"redis-cli":       "redis-tools",
	"initdb":          "postgresql",
	"pgbench":         "postgresql",
	"postgres":        "postgresql",
	"psql":            "postgresql-client",

	"sftp":       "openssh-client",
	"ssh":        "openssh-client",
	"ssh-keygen": "openssh-client",
	"sshd":       "openssh-server",

	"wasm-ld": "lld",

	"systemd-analyze":         "systemd",
	"systemd-socket-activate": "systemd",

	"ngx_stream_module.so": "libnginx-mod-stream",
	"dpkg-deb":             "dpkg",
}

// apart is where Debian puts programs, and a part of one, that are not in
// everybody's PATH.
var apart = map[string]string{
	"haproxy": "/usr/sbin/haproxy",
	"nginx":   "/usr/sbin/nginx",

	"ngx_stream_module.so": "/usr/lib/nginx/modules/ngx_stream_module.so",

	"initdb":   "/usr/lib/postgresql/*/bin/initdb",
	"pgbench":  "/usr/lib/postgresql/*/bin/pgbench",
	"postgres": "/usr/lib/postgresql/*/bin/postgres",
	"sshd":     "/usr/sbin/sshd",
}

// Need returns the path of the named program. If there is none, t ends here: it
// fails when the environment has CI=true, and is skipped otherwise.
func Need(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if found, _ := filepath.Glob(apart[name]); len(found) > 0 {
		return found[len(found)-1]
	}
	reason := fmt.Sprintf("needs the program %s (Debian package %s), installed by .ci/run: %v", name, pkg(name), err)
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

// pkg returns the Debian package of a program.
func pkg(name string) string {
	if p, ok := debian[name]; ok {
		return p
	}
	return name
}
