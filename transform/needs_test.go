package transform

import (
	"fmt"
	"io"
	"testing"
)

// What a stage opens is known before any stream comes.
func TestNeeds(t *testing.T) {
	tests := []struct{ chain, want string }{
		{"gzip", "{[] [] [] [] []}"},
		{"hexdump", "{[] [] [] [] []}"},
		{"hexdump:/var/log/a.hex", "{[] [/var/log/a.hex] [] [] []}"},
		{"hexdump:/var/log/%c.%d.hex", "{[] [] [/var/log] [] []}"},
		{"pcapng:/srv/%d/x", "{[] [] [/srv] [] []}"},
		{"pcapng:/srv/a%d/x", "{[] [] [/srv] [] []}"},
		{"tee:100%%/a", "{[] [100%/a] [] [] []}"},
		{"tee:%c", "{[] [] [.] [] []}"},
		{"tee:/%c", "{[] [] [/] [] []}"},
		{"tee:tcp://h:1", "{[] [] [] [] [tcp://h:1]}"},
		{"exec:'/bin/sh' -c 'cat'", "{[] [] [] [/bin/sh] []}"},
		{"exec:cat,tee:a,tee:b", "{[] [a b] [] [cat] []}"},
	}
	for _, tt := range tests {
		chain, err := ParseChain(tt.chain)
		if err != nil {
			t.Errorf("%s: %v", tt.chain, err)
			continue
		}
		if got := fmt.Sprint(chain.Needs()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.chain, got, tt.want)
		}
	}
	own := NewStage("own", func(src io.Reader) io.ReadCloser { return io.NopCloser(src) })
	if got := fmt.Sprint(own.Needs()); got != "{[] [] [] [] []}" {
		t.Errorf("a function: %s", got)
	}
}

// An option that is called file, or that is checked as one, says what it is for:
// who restricts the process believes that nothing else is opened.
func TestNeedsOfAllFiles(t *testing.T) {
	for _, def := range table {
		for _, o := range def.Options {
			if o.use == usesNothing && (o.Name == "file" || o.Name == "command" || o.Name == "to" && def.Name == "tee") {
				t.Errorf("stage %s: option %s does not say what it is used for", def.Name, o.Name)
			}
		}
	}
}
