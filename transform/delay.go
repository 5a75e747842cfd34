package transform

// The delay stage: all arrives later, and no slower.

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"relayd/transform/internal/filter"
)

var delayDefinition = definition{
	Info: Info{
		Name:    "delay",
		Summary: "hand every byte on later, without making the stream slower",
		Options: withChance(Option{
			Name:     "time",
			Values:   "a duration up to 1h, such as 100ms",
			Doc:      "how much later a byte goes on, and the end of the stream, too",
			Main:     true,
			Required: true,
			canon:    canonDelay,
		}, Option{
			Name:    "jitter",
			Default: off,
			Values:  "a duration no longer than time, or off",
			Doc:     "up to how much earlier or later than that, evenly, drawn for each piece as it is read; nothing overtakes what came before it",
			canon:   durationOrOff,
		}, Option{
			Name:    "queue",
			Default: "1M",
			Values:  amountDoc + ", from 1 to 1G",
			Doc: "how much may be on its way, each piece read being counted with 96 bytes more; while it is that much, the source is not read:" +
				" so no more than queue bytes pass in each time",
			canon: amounts(1, 1<<30),
		}),
		Memory:  "40 KiB; while bytes are on their way also they, up to queue and 32 KiB",
		Example: "delay:100ms,jitter=20ms",
		Notes: []string{
			"It makes a stream later, and no slower: its source is read ahead, up to queue. A fast one needs a queue of its rate times the time:" +
				" 100 MiB/s for 100ms is 10M.",
			"Each direction has its own: a round trip grows by the time of both. Bytes on their way when a conn is killed or reset are lost;" +
				" when the source fails they arrive first, and then the failure.",
		},
	},
	check: func(values []string) error {
		if jitter := values[1]; durationOf(jitter) > durationOf(values[0]) {
			return fmt.Errorf("the jitter of %s is longer than the delay of %s", jitter, values[0])
		}
		return nil
	},
	build: func(values []string) opener {
		delay, jitter, queue := durationOf(values[0]), durationOf(values[1]), sizeOf(values[2])
		return newChance(values).opener(func(src *source, random *rand.Rand) io.ReadCloser {
			start := func() (filter.Body, error) {
				return newDelayLine(delay, jitter, queue, random), nil
			}
			f := filter.New(src, start)
			src.site.OnCut(f.Cut)
			return f
		})
	},
}

func canonDelay(value string) (string, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > time.Hour {
		return "", errors.New("want a duration up to 1h, such as 100ms or 2s")
	}
	return d.String(), nil
}
