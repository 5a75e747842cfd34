package config

import (
	"testing"

	"go.yaml.in/yaml/v4"
)

// What is printed without quotes is a text to YAML: names may look like numbers,
// and one such as 1e3_ was printed as it is, so that the file did not load.
func TestPlainTextsAreTexts(t *testing.T) {
	const signs = "1e_.+-0x:b"
	var look func(s string)
	look = func(s string) {
		var n yaml.Node
		if err := yaml.Load([]byte("[ "+quoteYAML(s)+" ]"), &n); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if x := n.Content[0].Content[0]; x.Tag != "!!str" || x.Value != s {
			t.Errorf("%q is printed as %s, which is %s %q", s, quoteYAML(s), x.Tag, x.Value)
		}
		for i := 0; i < len(signs) && len(s) < 4; i++ {
			look(s + signs[i:i+1])
		}
	}
	look("")
}
