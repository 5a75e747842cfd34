package transform

// The slice stage: what comes in large pieces goes on in small ones.

import (
	"io"
	"math/rand/v2"
	"time"
)

var sliceDefinition = definition{
	Info: Info{
		Name:    "slice",
		Summary: "hand bytes on in small pieces, with a pause between",
		Options: withChance(Option{
			Name:     "size",
			Values:   amountDoc + ", from 1 to 1G",
			Doc:      "how large a piece is at most; a stage behind this one may put pieces together again, and so may the network",
			Main:     true,
			Required: true,
			canon:    amounts(1, 1<<30),
		}, Option{
			Name:    "delay",
			Default: off,
			Values:  "a duration such as 10ms, or off",
			Doc:     "how long after a piece the next one goes on at the earliest",
			canon:   durationOrOff,
		}),
		Memory:  "500 bytes",
		Example: "slice:100,delay=10ms",
		Notes: []string{
			"It shows programs that take a piece of a stream for a message: each piece is written by itself. With a delay of more than" +
				" the network's own, the receiver sees them apart; without, the system may join them again.",
			"No piece is larger than the 32 KiB that a relay moves at once.",
		},
	},
	build: func(values []string) opener {
		size, delay := sizeOf(values[0]), durationOf(values[1])
		return newChance(values).opener(func(src *source, _ *rand.Rand) io.ReadCloser {
			return &slicer{src: src, pause: newPause(src.site), size: size, delay: delay}
		})
	},
}

type slicer struct {
	src   *source
	pause *pause
	size  int
	delay time.Duration
	next  time.Time // when the next piece is due
}

func (s *slicer) Read(p []byte) (int, error) {
	n, err := s.src.Read(p[:min(len(p), s.size)])
	if n == 0 || s.delay == 0 {
		return n, err
	}
	if err := s.pause.wait(time.Until(s.next)); err != nil {
		return 0, err
	}
	s.next = time.Now().Add(s.delay)
	return n, nil
}

func (s *slicer) resume(src *source) { s.src, s.pause = src, newPause(src.site) }

func (s *slicer) Ready() bool {
	return s.src.atEnd() || s.src.Ready() && time.Until(s.next) <= 0
}

// Wait is the source's.
func (s *slicer) Wait(d time.Duration) bool { return s.src.Wait(d) }

func (s *slicer) Close() error { return nil }
