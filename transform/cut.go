package transform

// The stages cut and reset: the stream ends before its time, in order or not.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

var cutDefinition = definition{
	Info: Info{
		Name:    "cut",
		Summary: "end the stream after so many bytes, as if its sender had",
		Options: withChance(afterOption("how many bytes pass; what comes behind them is not read", true)),
		Memory:  "400 bytes",
		Example: "cut:10M",
		Notes: []string{
			"The receiver gets a FIN, and cannot tell it from its sender's. What that sends behind it is thrown away." +
				" The other direction goes on to its own end.",
			"In front of a stage that encodes it leaves a whole stream, behind it one without its end: the decoder fails.",
		},
	},
	build: func(values []string) opener {
		return cutter(values, io.EOF)
	},
}

var resetDefinition = definition{
	Info: Info{
		Name:    "reset",
		Summary: "break the conn off after so many bytes, with a TCP reset to both sides",
		Options: withChance(afterOption("how many bytes pass, and arrive, before; what comes behind them is not read", true)),
		Memory:  "400 bytes",
		Example: "reset:64k",
		Notes: []string{
			"The receiver is reset when it has acknowledged what came before, or after --linger; the sender at once." +
				" The conn ends with the reason stage-failed, and the stage's name in the log.",
			"A Unix socket has no reset: its peer sees an end.",
		},
	},
	build: func(values []string) opener {
		return cutter(values, fmt.Errorf("reset after %s bytes, as asked", values[0]))
	},
}

// cutter opens a stage that ends its stream with end.
func cutter(values []string, end error) opener {
	after := amountOf(values[0])
	return newChance(values).opener(func(src *source, _ *rand.Rand) io.ReadCloser {
		return &cut{src: src, left: after, end: end}
	})
}

type cut struct {
	src  *source
	left int64 // bytes before the end
	end  error
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.end
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (c *cut) resume(src *source) { c.src = src }

func (c *cut) Ready() bool { return c.left == 0 || c.src.Ready() }

func (c *cut) Wait(d time.Duration) bool { return c.left == 0 || c.src.Wait(d) }

func (c *cut) Close() error { return nil }
