package transform

// The count stage: how much has passed.

import (
	"io"
	"log/slog"
)

var countDefinition = definition{
	Info: Info{
		Name:    "count",
		Summary: "count bytes, and log how many they were at the end",
		Options: []Option{labelOption},
		Memory:  "nothing",
		Example: "count:label=packed",
		Notes: []string{
			"The bytes pass unchanged. The line is logged when the direction ends or is cut, and says " +
				"which.",
		},
	},
	build: func(values []string) opener {
		return func(src *source) io.ReadCloser {
			return watched(src, &count{site: src.site, label: values[0]})
		}
	},
}

// A count is its stage's state.
type count struct {
	site   *Site
	label  string
	bytes  int64
	chunks int64 // as the stage before handed them out
}

func (c *count) begin() error { return nil }

func (c *count) see(p []byte) error {
	c.bytes += int64(len(p))
	c.chunks++
	return nil
}

func (c *count) end(err error) {
	c.site.say(slog.LevelInfo, "counted", labelled([]any{
		"bytes", c.bytes, "chunks", c.chunks, "end", outcome(err),
	}, c.label)...)
}
