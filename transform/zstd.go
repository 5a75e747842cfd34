package transform

// The zstd stage: compression as of RFC 8878.

import (
	"fmt"
	"io"
	"strconv"

	kzstd "github.com/klauspost/compress/zstd"
)

const (
	// maxZstdWindow is the window that every decoder should allow, says the
	// format, and so the most that one asks for who does not know the other end.
	maxZstdWindow = 8 << 20

	minZstdWindow = kzstd.MinWindowSize

	// maxZstdBlock is the most that a block unpacks to; it is no more than the
	// window either.
	maxZstdBlock = 128 << 10
)

// zstdLevels are the lowest levels that differ, as the zstd program counts.
var zstdLevels = [...]int{1, 3, 6, 10}

var zstdDefinition = definition{
	Info: Info{
		Name:    "zstd",
		Summary: "compress to the Zstandard format, flushing whenever there is nothing more at hand",
		Options: []Option{{
			Name:    "level",
			Default: "3",
			Values:  "1 to 19",
			Doc: "1 is fastest and 19 is smallest, as of the zstd program; from 1, 3, 6 and 10 on" +
				" it is another encoder, between them the same",
			canon: zstdLevel,
		}, {
			Name:    "window",
			Default: "128k",
			Values:  "a power of two from 1k to 8M",
			Doc:     "how far back to look for what repeats; the encoder here and the decoder at the other end hold as much",
			canon:   powersOfTwo(minZstdWindow, maxZstdWindow),
		}, idleOption},
		Inverse: "unzstd",
		Memory: "0.7, 1.8, 4.7 or 34.7 MiB from level 1, 3, 6 or 10 on, and the window," +
			" until the end or the first silence; up to 164 KiB of output until it is read",
		Example: "zstd:level=1,window=32k",
		Notes: []string{
			"What has come in comes out as soon as nothing more is at hand: interactive traffic does not " +
				"wait here for a block to fill.",
			"After a silence of idle the frame ends, and another one begins with the next byte. The zstd " +
				"program and the stage unzstd read several frames in a row as one stream.",
			"The decoder must allow the window: unzstd allows up to 8M unless its own option says " +
				"otherwise.",
		},
	},
	build: func(values []string) opener {
		setting := zstdSetting{numberOf(values[0]), sizeOf(values[1])}
		idle := durationOf(values[2])
		from := encodersOf(setting, setting.encoder)
		return func(src *source) io.ReadCloser { return &packing{src: src, from: from, idle: idle} }
	},
}

// zstdLevel is the canon of a level: the lowest that does the same.
func zstdLevel(value string) (string, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 19 {
		return "", fmt.Errorf("want a number from 1 to 19")
	}
	level := zstdLevels[0]
	for _, l := range zstdLevels {
		if l <= n {
			level = l
		}
	}
	return strconv.Itoa(level), nil
}

// A zstdSetting is what encoders of zstd differ by.
type zstdSetting struct{ level, window int }

// encoder makes one that does its work in the goroutine that calls it.
func (s zstdSetting) encoder() (packer, error) {
	return kzstd.NewWriter(nil,
		kzstd.WithEncoderLevel(kzstd.EncoderLevelFromZstd(s.level)),
		kzstd.WithWindowSize(s.window),
		kzstd.WithEncoderConcurrency(1),
		kzstd.WithLowerEncoderMem(true))
}
