package transform

// The stall stage: nothing moves any more, as behind a peer that has stopped.

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"time"
)

const forever = "forever"

var stallDefinition = definition{
	Info: Info{
		Name:    "stall",
		Summary: "stop moving bytes, for a time or for ever",
		Options: withChance(afterOption("how many bytes pass before; then the source is not read, and so its end does not pass either", false), Option{
			Name:    "time",
			Default: forever,
			Values:  "a duration such as 30s, or forever",
			Doc:     "how long nothing moves; forever is until the conn is ended by a timeout, a kill, or a shutdown, or the stage is removed",
			canon:   canonStallTime,
		}),
		Memory:  "600 bytes",
		Example: "stall:1M,time=30s",
		Notes: []string{
			"The sender is held up once the buffers between are full, as by a receiver that has stopped reading; the other direction goes on." +
				" It tests timeouts: relayd's own idle timeout, and those of the programs.",
			"A sender that goes away meanwhile is not noticed in this direction before the stall is over.",
		},
	},
	build: func(values []string) opener {
		after, span := amountOf(values[0]), values[1]
		var d time.Duration
		if span != forever {
			d = durationOf(span)
		}
		return newChance(values).opener(func(src *source, _ *rand.Rand) io.ReadCloser {
			return &stall{src: src, pause: newPause(src.site), left: after, time: d, forever: span == forever}
		})
	},
}

func canonStallTime(value string) (string, error) {
	if value == forever {
		return value, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return "", errors.New("want a duration such as 500ms or 30s, or " + forever)
	}
	return d.String(), nil
}

// afterOption is the option of the stages that let so much pass before they act.
func afterOption(doc string, required bool) Option {
	o := Option{
		Name:     "after",
		Values:   amountDoc,
		Doc:      doc,
		Main:     true,
		Required: required,
		canon:    amounts(0, maxAmount),
	}
	if !required {
		o.Default = "0"
	}
	return o
}

// A stall is lifted when its chain is to let go, so that it can be taken away:
// what comes then is the source's end, and what other stages had in hand. If it is
// still there in the next chain, it goes on.
type stall struct {
	src     *source
	pause   *pause
	lifted  bool
	left    int64     // bytes before it stalls
	over    bool      // it has stalled
	until   time.Time // when that is over; zero before it stalls
	time    time.Duration
	forever bool
}

func (s *stall) Read(p []byte) (int, error) {
	if s.stalls() {
		if err := s.stop(); err != nil {
			return 0, err
		}
	}
	if s.over || s.lifted {
		return s.src.Read(p)
	}
	n, err := s.src.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// stalls reports whether nothing is to move now.
func (s *stall) stalls() bool { return s.left == 0 && !s.over && !s.lifted }

// stop waits as long as nothing is to move.
func (s *stall) stop() (err error) {
	d := time.Duration(math.MaxInt64)
	if !s.forever {
		s.begin()
		d = time.Until(s.until)
	}
	s.lifted, err = s.pause.waitOrYield(d)
	s.over = err == nil && !s.lifted
	return err
}

func (s *stall) resume(src *source) {
	s.src, s.pause, s.lifted = src, newPause(src.site), false
}

// begin notes when it will be over, the first time that somebody asks for what
// comes then.
func (s *stall) begin() {
	if s.until.IsZero() {
		s.until = time.Now().Add(s.time)
	}
}

func (s *stall) Ready() bool {
	if s.stalls() {
		if s.begin(); s.forever || time.Until(s.until) > 0 {
			return false
		}
	}
	return s.src.Ready()
}

// Wait is the source's, if that is read.
func (s *stall) Wait(d time.Duration) bool { return s.stalls() || s.src.Wait(d) }

func (s *stall) Close() error { return nil }
