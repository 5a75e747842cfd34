package config

import (
	"strings"
	"testing"
)

// FuzzDecode gives the decoder anything. It must not panic; its messages are
// safe to print; and what it takes it prints as a file that says the same.
func FuzzDecode(f *testing.F) {
	for _, text := range exampleFiles(f) {
		f.Add(text)
	}
	f.Add(commented.ReplaceAllString(Reference(), "$1$2"))
	f.Add("version: 1\nlisteners: &a {b: *a, c: &d [*d, *a]}\n<<: *a\n? [x]\n: {}\n")
	f.Add("%YAML 1.1\n---\n!!map {version: !!int \"1\", log: !<tag:yaml.org,2002:map> {rate: 0x1_0, every: 1:30, level: yes}}\n...\n")
	f.Add("version: 1\nuser: |+\n  ${A:-\n  x}\n\nready-file: >-\n  $$ ${file:/etc/passwd}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			return
		}
		lookup := func(name string) (string, bool) { return "x" + name, len(name) < 4 }
		c, p := decode("fuzz.yaml", []byte(text), lookup, noFiles)
		decoded := p.Err() == nil
		c.Check(p)
		for line := range strings.Lines(p.Error()) {
			if line = strings.TrimSuffix(line, "\n"); strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("a message is %q", line)
			}
		}
		if !decoded {
			return
		}
		if _, err := c.Relay(); err != nil && p.Err() == nil {
			t.Errorf("all is said to be well, but %v", err)
		}
		printed := c.YAML(Style{})
		again, q := decodeText(printed)
		if q.Err() != nil {
			t.Fatalf("printed it is\n%sof which is said\n%v", printed, q)
		}
		again.Check(q)
		if got := again.YAML(Style{}); got != printed {
			t.Errorf("printed it is\n%sand printed again\n%s", printed, got)
		}
	})
}
