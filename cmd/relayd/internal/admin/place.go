package admin

import (
	"errors"
	"os"
	"path/filepath"
)

// What cannot be served at.
var (
	errAbstract = errors.New("the admin API is served at an abstract Unix socket with a token only: everybody on the machine can reach it")
	errKind     = errors.New("the admin API is served at a Unix socket or a TCP port")
)

// ErrNoPlace is that there is no default place for the API's socket.
var ErrNoPlace = errors.New("no place for the admin socket: XDG_RUNTIME_DIR is not set")

// DefaultPath is where the API's socket is when nobody says otherwise: in the
// runtime directory of the user, or in /run for root.
func DefaultPath() (string, error) {
	if os.Geteuid() == 0 {
		return "/run/relayd.sock", nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "", ErrNoPlace
	}
	return filepath.Join(dir, "relayd.sock"), nil
}
