package preface

import (
	"strings"
	"testing"
)

// Whatever pattern a route has, and whatever name a client asks for: what is well
// fits as its labels do, one by one from the end.
func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"www.example.com", "*.example.com", "*", "WWW.Example.Com.", "", "*.*.x", "a*.x", "*x", "https://x", "é.x", "a..b"} {
		for _, name := range []string{"www.example.com", "a.b.example.com", "example.com", "", "x", "ax.x"} {
			f.Add(pattern, name)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		m := Match{SNI: []string{pattern}}
		if err := m.Check(); err != nil {
			if text := err.Error(); strings.ContainsFunc(text, unprintable) || len(text) > 10*len(pattern)+300 {
				t.Errorf("the error is %q", text)
			}
			return
		}
		name = canonicalName(name)
		if strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
			return // no client's: ParseHello refuses it
		}
		got := m.Fits(Hello{ServerName: name})
		if want := fitsByLabels(pattern, name); got != want {
			t.Errorf("%q fits %q: %v", pattern, name, got)
		}
	})
}

// fitsByLabels is fits in another way.
func fitsByLabels(pattern, name string) bool {
	if name == "" {
		return false
	}
	want := strings.Split(strings.TrimSuffix(strings.ToLower(pattern), "."), ".")
	have := strings.Split(name, ".")
	for i := 1; i <= len(want); i++ {
		label := want[len(want)-i]
		if i == len(want) && label == "*" {
			return len(have) >= i
		}
		if i > len(have) || have[len(have)-i] != label {
			return false
		}
	}
	return len(have) == len(want)
}
