package socket

import "testing"

// What a word was probably meant to be is a letter or two away: too many, too few,
// another one, or two that are swapped.
func TestNearest(t *testing.T) {
	list := []string{"tcp", "unix", "systemd", "keepalive", "mode", "mark"}
	for word, wants := range map[string]string{
		"tpc": "tcp", "tcpp": "tcp", "tp": "tcp", "ucp": "tcp", "unxi": "unix", "sytsemd": "systemd",
		"keepailve": "keepalive", "keep-alive": "keepalive", "mode": "mode", "mrak": "mark",
		"": "", "alivekeep": "", "x": "",
	} {
		if got := nearest(word, list); got != wants {
			t.Errorf("%q: %q, want %q", word, got, wants)
		}
	}
	for _, c := range []struct {
		a, b string
		n    int
	}{{"", "", 0}, {"ab", "ba", 1}, {"tpc", "tcp", 1}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"mode", "mode", 0}} {
		if got := distance(c.a, c.b); got != c.n {
			t.Errorf("from %q to %q it is %d, want %d", c.a, c.b, got, c.n)
		}
	}
}
