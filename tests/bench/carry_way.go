// A way is how a file is carried: through stages of relayd, or by others.

package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// identity is a module that gives back what it is given.
const identity = "transform/wasm/testdata/guest.wasm"

// ways returns all ways. The first is what the others are compared with.
func (t toolbox) ways() ([]peer, error) {
	module, err := filepath.Abs(identity)
	if err == nil {
		_, err = os.Stat(module)
	}
	if err != nil {
		return nil, fmt.Errorf("--carry is for the top folder of relayd's source: %w", err)
	}
	ways := t.pairs()
	for _, w := range []struct{ name, stage string }{
		{"exec", "exec:cat"},
		{"wasm", "wasm:" + module + ",args=copy"},
		{"wasm-trusted", "wasm:" + module + ",args=copy,trusted=true"},
	} {
		what := "one relayd, --down " + strings.Replace(w.stage, module, identity, 1)
		ways = append(ways, peer{name: w.name, what: what, command: t.relaydCommand("--down", w.stage)})
	}
	return append(ways, peer{
		name:    "socat-zstd",
		what:    "two socats, zstd -3 on the way down only",
		missing: cmp.Or(installed("socat", "socat"), installed("zstd", "zstd")),
		command: socatZstdCommand,
	}), nil
}

// socatZstdScript is a tunnel of socat and the program zstd. That holds what it
// has until its input ends, so a request would never arrive: it goes up as it is,
// and only what comes down is compressed, whose end the server makes.
const socatZstdScript = `
socat "TCP4-LISTEN:$1,bind=$2,fork,reuseaddr,nodelay" "SYSTEM:socat -t 0.1 - 'TCP4:$3' | zstd -q -3 -c" &
exec socat -t 600 "TCP4-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr,nodelay" "SYSTEM:socat -t 0.1 - 'TCP4:$2:$1' | zstd -q -d -c"`

func socatZstdCommand(r route) (*exec.Cmd, error) {
	near, err := netip.ParseAddrPort(r.listen)
	if err != nil {
		return nil, err
	}
	return exec.Command("/bin/sh", "-c", socatZstdScript, "sh", fmt.Sprint(near.Port()), farHost, r.to), nil
}
