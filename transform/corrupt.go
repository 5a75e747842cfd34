package transform

// The corrupt stage: here and there a bit is another one.

import (
	"io"
	"math"
	"math/rand/v2"
	"time"
)

var corruptDefinition = definition{
	Info: Info{
		Name:    "corrupt",
		Summary: "flip a bit in some of the bytes, at random",
		Options: withChance(Option{
			Name:     "rate",
			Values:   "a number from 0 to 1",
			Doc:      "the probability, for each byte, that one of its bits is flipped; p is that of the whole stage, for each conn",
			Main:     true,
			Required: true,
			canon:    canonProbability,
		}),
		Memory:  "400 bytes",
		Example: "corrupt:0.001,seed=1",
		Notes: []string{
			"With a seed the same bits of the same conn, counted from the start of relayd, are flipped, however the stream is cut up on its way.",
			"TCP's checksums see nothing of it, as the bytes are changed inside of relayd: it tests whether the programs, or a decoder behind it, notice.",
		},
	},
	build: func(values []string) opener {
		rate := probabilityOf(values[0])
		return newChance(values).opener(func(src *source, random *rand.Rand) io.ReadCloser {
			c := &corrupt{src: src, random: random, rate: rate}
			c.good = c.gap()
			return c
		})
	},
}

// A corrupt draws how many bytes stay whole, and then which bit is flipped: one
// draw for each damage, and not for each byte. Where it hits depends on the
// place in the stream only, not on how the stream is cut up.
type corrupt struct {
	src    *source
	random *rand.Rand
	rate   float64
	good   int64 // bytes until the next damage
}

func (c *corrupt) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	at := int64(0)
	for c.good < int64(n)-at {
		at += c.good
		p[at] ^= 1 << c.random.IntN(8)
		at++
		c.good = c.gap()
	}
	c.good -= int64(n) - at
	return n, err
}

// gap returns how many bytes stay whole before the next damage.
func (c *corrupt) gap() int64 {
	switch c.rate {
	case 0:
		return math.MaxInt64
	case 1:
		return 0
	}
	// 1-Float64 is never 0, whose logarithm is no number.
	gap := math.Log(1-c.random.Float64()) / math.Log1p(-c.rate)
	if gap >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(gap)
}

func (c *corrupt) resume(src *source) { c.src = src }

func (c *corrupt) Ready() bool { return c.src.Ready() }

// Wait is the source's.
func (c *corrupt) Wait(d time.Duration) bool { return c.src.Wait(d) }

func (c *corrupt) Close() error { return nil }
