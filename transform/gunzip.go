package transform

// The gunzip stage: decompression as of RFC 1952, of one member or several in a
// row. Members are its frames, so that one is handed out before the beginning of
// the next is waited for.

import (
	"bufio"
	"io"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"
)

// gunzipWindow is the format's window, and with it the most that the decoder has
// decoded and not handed out: a Read of so many bytes leaves it empty.
const gunzipWindow = 32 << 10

var gunzipDefinition = definition{
	Info: Info{
		Name:    "gunzip",
		Summary: "decompress the gzip format",
		Inverse: "gzip",
		Memory:  "60 KiB inside a member; 32 KiB more while it is read through a buffer smaller than that",
		Example: "gunzip",
		Notes: []string{
			"Several members in a row are one stream. Names and comments in their headers are passed " +
				"over.",
			"Where a stream begins with something else, its conn ends at once, with the reason " +
				"stage-failed and an error that says what came instead. What is cut off, and what follows the " +
				"end and belongs to no stream, are errors as well.",
		},
	},
	build: func([]string) opener {
		return func(src *source) io.ReadCloser { return &unpacking{src: src, as: &gunzipping} }
	},
}

var gunzipping = decoding{
	formats: []*format{&gzipFormat},
	get:     func() unpacker { return gzipDecoders.Get().(*gzipDecoder) },
	put:     func(u unpacker) { gzipDecoders.Put(u) },
}

type gzipDecoder struct{ kgzip.Reader }

var gzipDecoders = sync.Pool{New: func() any { return new(gzipDecoder) }}

func (d *gzipDecoder) begin(in *bufio.Reader) error {
	if err := d.Reset(in); err != nil {
		return err
	}
	d.Multistream(false)
	d.Header = kgzip.Header{} // a peer's names and comments are not kept
	return nil
}

func (d *gzipDecoder) ahead() (int, error) { return gunzipWindow, nil }

// reset cannot tell the reader to forget its input, which is reset itself.
func (d *gzipDecoder) reset() {}
