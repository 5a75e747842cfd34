package socket

import (
	"strconv"
	"strings"
	"testing"
)

// Whatever a service manager says it has passed: there is a name for each
// descriptor, the one that stands in its place, and no more of them than a
// process can have.
func FuzzPassed(f *testing.F) {
	for _, names := range []string{"", "http:https", "a::b", ":", "connection", "a:b:c:d:e"} {
		for _, n := range []string{"0", "1", "3", "65535", "65536", "-1", "+2", "1e3", "", " 1", "999999999999999999999"} {
			f.Add(n, names)
		}
	}
	f.Fuzz(func(t *testing.T, number, list string) {
		names := passedNames(number, list)
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 1<<16-1 || strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-") {
			n = 0
		}
		if len(names) != n {
			t.Fatalf("%q are %d", number, len(names))
		}
		for i, rest := 0, list; i < n; i++ {
			var want string
			if want, rest, _ = strings.Cut(rest, ":"); want == "" {
				want = "unknown"
			}
			if names[i] != want {
				t.Fatalf("%q: number %d is %q, not %q", list, i, names[i], want)
			}
		}
	})
}
