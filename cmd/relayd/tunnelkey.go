package main

import (
	"errors"

	"relayd/socket"
)

// With --key a tunnel is encrypted, by TLS between its two ends.

// encrypt puts the keys into the addresses where the two ends meet: the near
// end's upstream, or what the far end listens on.
func (f *runFlags) encrypt() error {
	switch {
	case f.key == "" && f.peerKey == "":
		return nil
	case f.key == "":
		return &exitError{code: exitUsage, err: errors.New("--peer-key is of no use without --key"),
			hint: "--key has this end's own key, --peer-key the other end's public one; relayd keygen makes them"}
	case len(f.wrap)+len(f.unwrap) == 0:
		return &exitError{code: exitUsage, err: errors.New("--key is of no use without --wrap or --unwrap"),
			hint: "a tunnel without stages has its key in the addresses, as tls://HOST:PORT?tunnel_key=FILE"}
	}
	var err error
	if len(f.wrap) > 0 {
		f.to, err = f.keyed(f.to)
		return err
	}
	for i, a := range f.listen.list {
		if f.listen.list[i], err = f.keyed(a); err != nil {
			return err
		}
	}
	return nil
}

// keyed returns an address with the keys.
func (f *runFlags) keyed(a socket.Address) (socket.Address, error) {
	if f.peerKey != "" {
		return a.PinnedTunnel(f.key, f.peerKey)
	}
	return a.Tunnel(f.key)
}
