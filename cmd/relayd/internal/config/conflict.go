package config

// Addresses that cannot be listened on together.

import (
	"net/netip"
	"strconv"
	"strings"

	"relayd/socket"
)

// A claim is somebody who listens at an address.
type claim struct {
	path    string // of the key
	address socket.Address
}

// conflicts complains about two that want one address.
func (k *checker) conflicts() {
	var claims []claim
	for _, l := range k.config.Listeners {
		claims = append(claims, claim{below(below("listeners", l.Name), "on"), l.On.Address})
	}
	a := &k.config.Admin
	claims = append(claims, claim{"admin.listen", a.Listen.Address}, claim{"admin.view", a.View.Address})
	groups := make(map[string][]claim) // by what two must share to be in each other's way
	for _, c := range claims {
		key := c.group()
		if key == "" {
			continue
		}
		for _, other := range groups[key] {
			if c.overlaps(other) {
				k.complain(k.at(c.path), c.path, "%s is in the way of %s of %s: choose another", c.address, other.address, other.path)
				break
			}
		}
		groups[key] = append(groups[key], c)
	}
}

// group returns what two claims must have in common to be in each other's way,
// or "" if nobody can be.
func (c claim) group() string {
	a := c.address
	switch a.Kind {
	case socket.Unix:
		if a.Abstract {
			return "@" + a.Path
		}
		return a.Path
	case socket.FD:
		return "fd " + strconv.Itoa(a.FD)
	case socket.Stdio:
		return "stdio"
	case 0, socket.Systemd, socket.Exec, socket.Echo, socket.Discard:
		return ""
	}
	if a.Port == 0 {
		return ""
	}
	return "port " + strconv.Itoa(int(a.Port))
}

// overlaps reports whether two claims of a group are in each other's way. Of a
// port that is when one takes all addresses of the machine, or both the same.
func (c claim) overlaps(other claim) bool {
	a, b := c.address, other.address
	if a.Port == 0 {
		return true
	}
	if option(a, "reuseport") == "true" && option(b, "reuseport") == "true" {
		return false
	}
	if i, j := option(a, "interface"), option(b, "interface"); i != j && i != "" && j != "" {
		return false
	}
	x, errA := netip.ParseAddr(a.Host)
	y, errB := netip.ParseAddr(b.Host)
	switch allA, allB := a.Host == "" || x.IsUnspecified(), b.Host == "" || y.IsUnspecified(); {
	case allA && allB:
		return true
	case allA:
		return errB == nil // a name is anything
	case allB:
		return errA == nil
	case errA == nil && errB == nil:
		return x.Unmap() == y.Unmap()
	}
	return a.Host == b.Host
}

// option returns the value of an option of a parsed address, "" without it.
func option(a socket.Address, name string) string {
	for o := range strings.SplitSeq(a.Options, "&") {
		if key, value, _ := strings.Cut(o, "="); key == name {
			return value
		}
	}
	return ""
}
