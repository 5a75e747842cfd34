package transform

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// A stage knows where its chain is open, and says so in what it logs. Without a
// site it logs to nobody.
func TestSite(t *testing.T) {
	talker := NewStage("talker", func(src io.Reader) io.ReadCloser {
		src.(*source).site.say(slog.LevelInfo, "hello", "n", 1)
		return io.NopCloser(src)
	})
	var b bytes.Buffer
	at := &Site{Conn: "c1", Direction: "up", Log: slog.New(slog.NewTextHandler(&b, nil))}
	for _, site := range []*Site{at, {Conn: "c2"}, nil} {
		_, close := Chain{talker}.OpenAt(strings.NewReader(""), site)
		if err := close(); err != nil {
			t.Error(err)
		}
	}
	if got, want := b.String(), "msg=hello id=c1 direction=up n=1\n"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q, want one line that ends in %q", got, want)
	}
}
