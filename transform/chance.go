package transform

// Chance: a stage that shapes or harms a stream may do so to some streams only,
// and by a seed, so that a run can be repeated.

import (
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
)

// randomSeed is the value of the option seed of a stage that differs from run to
// run.
const randomSeed = "random"

// withChance returns the options of a stage with those of chance behind them.
func withChance(options ...Option) []Option {
	return append(options, Option{
		Name:    "p",
		Default: "1",
		Values:  "a number from 0 to 1",
		Doc:     "the probability, for each conn, that the stage acts on it at all; else the stage is left out, for the whole of the conn",
		canon:   canonProbability,
	}, Option{
		Name:    "seed",
		Default: randomSeed,
		Values:  "a number, or random",
		Doc:     "makes chance the same in every run: the fate of the n-th conn that the stage is opened for depends on the seed and on n only",
		canon:   canonSeed,
	})
}

func canonProbability(value string) (string, error) {
	p, err := strconv.ParseFloat(value, 64)
	if err != nil || !(p >= 0 && p <= 1) {
		return "", errors.New("want a probability, from 0 to 1, such as 0.01")
	}
	return strconv.FormatFloat(max(p, 0), 'g', -1, 64), nil // max takes the sign from -0
}

func canonSeed(value string) (string, error) {
	if value == randomSeed {
		return value, nil
	}
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return "", errors.New("want a number from 0, or " + randomSeed)
	}
	return strconv.FormatUint(seed, 10), nil
}

// probabilityOf returns what a canonical value stands for.
func probabilityOf(value string) float64 {
	p, err := strconv.ParseFloat(value, 64)
	if err != nil {
		panic("transform: not canonical: " + value)
	}
	return p
}

// A chance is that of one stage, for all the streams that it is opened for.
type chance struct {
	p       float64
	seed    uint64
	streams atomic.Uint64
}

// newChance returns the chance of a stage with the given option values, the last
// two of which are those that withChance has added.
func newChance(values []string) *chance {
	c := &chance{p: probabilityOf(values[len(values)-2])}
	var err error
	if seed := values[len(values)-1]; seed == randomSeed {
		c.seed = rand.Uint64()
	} else if c.seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
		panic("transform: not canonical: " + seed)
	}
	return c
}

// opener returns what opens the stage by open, if it acts on the stream, and with
// the randomness of that stream.
func (c *chance) opener(open func(src *source, random *rand.Rand) io.ReadCloser) opener {
	return func(src *source) io.ReadCloser {
		f := src.site.fate(c)
		if !f.acts {
			return leftOut{src}
		}
		if f.stage != nil {
			f.stage.resume(src)
			return f.stage
		}
		stage := open(src, f.random)
		f.stage, _ = stage.(resumer)
		return stage
	}
}

// draw decides for the next stream.
func (c *chance) draw() *fate {
	random := rand.New(rand.NewPCG(c.seed, c.streams.Add(1)))
	return &fate{by: c, random: random, acts: random.Float64() < c.p}
}

// leftOut is a stage that does not act on its stream. A chain leaves it out.
type leftOut struct{ *source }

func (leftOut) Close() error { return nil }
