package transform

// The formats that decoders know, by how they begin. Who gets a stream of
// another one is told which, and what to do about it: mostly the two ends of a
// tunnel are set up differently.

import (
	"bytes"
	"errors"
	"fmt"
)

// A format is a kind of stream that begins with a magic number.
type format struct {
	name    string // also that of what writes it
	stream  string // what to call one
	decoder string // the stage that reads it
	magic   []byte
	wild    byte // bits of the first byte that may be anything
}

var (
	gzipFormat     = format{"gzip", "a gzip stream", "gunzip", []byte{0x1f, 0x8b, 8}, 0} // the identification, and deflate, the only method
	zstdFormat     = format{"zstd", "a zstd stream", "unzstd", []byte{0x28, 0xb5, 0x2f, 0xfd}, 0}
	zstdSkipFormat = format{"zstd", "a zstd stream", "unzstd", []byte{0x50, 0x2a, 0x4d, 0x18}, 0xf} // a skippable frame
	s2Format       = format{"s2", "an s2 stream", "uns2", []byte("\xff\x06\x00\x00S2sTwO"), 0}
	snappyFormat   = format{"snappy", "a snappy stream", "uns2", []byte("\xff\x06\x00\x00sNaPpY"), 0}

	formats = []*format{&gzipFormat, &zstdFormat, &zstdSkipFormat, &s2Format, &snappyFormat}
)

// maxMagic is the length of the longest magic number.
const maxMagic = 10

// begins reports whether a stream of the format may begin with head, and
// whether head tells.
func (f *format) begins(head []byte) (may, sure bool) {
	n := min(len(head), len(f.magic))
	may = n == 0 || (head[0]^f.magic[0])&^f.wild == 0 && bytes.Equal(head[1:n], f.magic[1:n])
	return may, may && len(head) >= len(f.magic)
}

// recognize tells what begins with head, as far as that is known: nil and true
// is "not yet".
func recognize(head []byte) (f *format, open bool) {
	for _, f := range formats {
		may, sure := f.begins(head)
		if sure {
			return f, false
		}
		open = open || may
	}
	return nil, open
}

// mismatch is the error of a decoder of f that was given something else, which
// is got, or if that is nil no format that a decoder here reads.
func (f *format) mismatch(got *format, head []byte) error {
	if got != nil {
		return fmt.Errorf("this is %s: the other end compresses with %s, use %s", got.stream, got.name, got.decoder)
	}
	what, foreign := guess(head)
	begin := "not " + f.stream + ": it begins with " + shown(head)
	switch {
	case foreign:
		return errors.New(begin + ", which looks like " + what + ": no stage here reads that")
	case what != "":
		return errors.New(begin + ", which looks like " + what + ": the other end does not compress")
	}
	return errors.New(begin + ": the other end does not compress with " + f.name)
}

// garbage is the error of a decoder of f that found something else where a
// stream of it had ended.
func (f *format) garbage() error {
	return errors.New("garbage after the end of the " + f.name + " stream")
}
