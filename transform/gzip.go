package transform

// The gzip stage: compression as of RFC 1952.

import (
	"io"

	kgzip "github.com/klauspost/compress/gzip"
)

var gzipDefinition = definition{
	Info: Info{
		Name:    "gzip",
		Summary: "compress to the gzip format, flushing whenever there is nothing more at hand",
		Options: []Option{{
			Name:    "level",
			Default: "6",
			Values:  "1 to 9",
			Doc: "1 is fastest and 9 is smallest; only 7 to 9 find what repeats" +
				" from one message of up to 128 bytes to the next",
			canon: intRange(kgzip.BestSpeed, kgzip.BestCompression),
		}, idleOption},
		Inverse: "gunzip",
		Memory:  "0.8 to 1.4 MiB, by level, until the end or the first silence; up to 128 KiB of output until it is read",
		Example: "gzip:level=9",
		Notes: []string{
			"What has come in comes out as soon as nothing more is at hand: interactive traffic does not " +
				"wait here for a block to fill.",
			"After a silence of idle the member ends, and another one begins with the next byte. The gzip " +
				"program and the stage gunzip read several members in a row as one stream.",
		},
	},
	build: func(values []string) opener {
		level, idle := numberOf(values[0]), durationOf(values[1])
		from := encodersOf(gzipSetting(level), func() (packer, error) { return kgzip.NewWriterLevel(io.Discard, level) })
		return func(src *source) io.ReadCloser { return &packing{src: src, from: from, idle: idle} }
	},
}

// A gzipSetting is what encoders of gzip differ by: the level.
type gzipSetting int
