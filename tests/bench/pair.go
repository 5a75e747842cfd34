// A pair is two relayds, one behind the other, as at the two ends of a tunnel:
// with a codec between them, or plain.

package main

import (
	"net/netip"
	"os/exec"
	"path/filepath"
)

// peerPair is the plain pair. One with a codec has its name behind.
const peerPair = "pair"

// codecs are those that tunnels are made with.
var codecs = []string{"zstd", "s2", "gzip"}

// farHost is where the far end listens, at the port of the near one.
const farHost = "127.0.0.3"

// pairs returns the plain pair, and one of each codec.
func (t toolbox) pairs() []peer {
	list := []peer{{name: peerPair, what: "two relayds, plain", command: t.pairCommand("")}}
	for _, codec := range codecs {
		list = append(list, peer{
			name:    peerPair + "-" + codec,
			what:    "two relayds, --wrap " + codec + " and --unwrap " + codec,
			command: t.pairCommand(codec),
		})
	}
	return list
}

// pairScript starts the far end, and the near one when that accepts. Its words:
// relayd, the near, the far and the upstream's address, a file, and the codec.
const pairScript = `
"$0" -l "$2" -t "$3" ${5:+--unwrap "$5"} --log-level error --admin none --ready-file "$4" &
until [ -s "$4" ]; do sleep 0.01; done
exec "$0" -l "$1" -t "$2" ${5:+--wrap "$5"} --log-level error --admin none`

// pairCommand returns how a pair is started, which is one process group.
func (t toolbox) pairCommand(codec string) func(route) (*exec.Cmd, error) {
	return func(r route) (*exec.Cmd, error) {
		near, err := netip.ParseAddrPort(r.listen)
		if err != nil {
			return nil, err
		}
		far := netip.AddrPortFrom(netip.MustParseAddr(farHost), near.Port())
		return exec.Command("/bin/sh", "-c", pairScript, t.relayd, r.listen, far.String(), r.to, filepath.Join(r.dir, "far"), codec), nil
	}
}
