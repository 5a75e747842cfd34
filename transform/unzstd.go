package transform

// The unzstd stage: decompression as of RFC 8878, of one frame or several in a
// row.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	kzstd "github.com/klauspost/compress/zstd"
)

var unzstdDefinition = definition{
	Info: Info{
		Name:    "unzstd",
		Summary: "decompress the Zstandard format",
		Options: []Option{{
			Name:    "window",
			Default: "8M",
			Values:  "a power of two from 1k to 128M",
			Doc: "the largest window that a frame may ask for: a bound for what a hostile peer makes" +
				" this stage hold; a frame that asks for more is an error",
			canon: powersOfTwo(minZstdWindow, 128<<20),
		}},
		Inverse: "zstd",
		Memory: "inside a frame 30 KiB and 5.5 times the window that it asks for, from 128k on the window and 0.6 MiB:" +
			" 8.6 MiB for 8M; 128 KiB more while it is read through a buffer smaller than that",
		Example: "unzstd:window=128k",
		Notes: []string{
			"Several frames in a row are one stream, and skippable frames are skipped. A frame that wants " +
				"a dictionary is an error.",
			"What zstd --long=27 has made wants window=128M.",
			"Where a stream begins with something else, its conn ends at once, with the reason " +
				"stage-failed and an error that says what came instead. What is cut off, and what follows the " +
				"end and belongs to no stream, are errors as well.",
		},
	},
	build: func(values []string) opener {
		limit := sizeOf(values[0])
		as := &decoding{
			formats: []*format{&zstdFormat, &zstdSkipFormat},
			get:     func() unpacker { return getZstdFrame(limit) },
			put:     func(u unpacker) { zstdFrames.Put(u) },
		}
		return func(src *source) io.ReadCloser { return &unpacking{src: src, as: as} }
	},
}

var (
	errZstdDictionary = errors.New("the frame wants a dictionary, and there is none")
	errZstdBlock      = errors.New("a block is larger than a block may be")
)

// A zstdFrame reads one frame and stops at its end, which the library's decoder
// would not. It is the decoder's source: what passes it are the frame's header,
// its blocks and its checksum.
//
// A decoder keeps the largest window that it has met. So decoders are sorted by
// their windows, and a frame gets one that fits when its header has been read.
type zstdFrame struct {
	limit int // the largest window

	in       *bufio.Reader
	dec      *kzstd.Decoder // nil for a frame to be skipped
	class    int            // which decoders dec is one of
	window   int
	checksum bool
	left     int  // how much passes before there is something to look at
	last     bool // the last block has passed, or is passing
	err      error
}

var (
	zstdFrames   = sync.Pool{New: func() any { return new(zstdFrame) }}
	zstdDecoders [32]sync.Pool // of *kzstd.Decoder, by the logarithm of the window
)

func getZstdFrame(limit int) *zstdFrame {
	f := zstdFrames.Get().(*zstdFrame)
	f.limit = limit
	return f
}

func (f *zstdFrame) begin(in *bufio.Reader) error {
	h, err := zstdHeader(in)
	if err != nil {
		return err
	}
	*f = zstdFrame{limit: f.limit, in: in, checksum: h.HasCheckSum, left: h.HeaderSize}
	if h.Skippable {
		return f.skip(h.SkippableSize)
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = max(h.FrameContentSize, minZstdWindow)
	}
	switch {
	case h.DictionaryID != 0:
		return errZstdDictionary
	case window > uint64(f.limit):
		return boundError(fmt.Sprintf("the frame asks for a window of %d bytes, and the limit is %s: "+
			"have the other end use a smaller one, or raise the option window here", window, size(f.limit)))
	}
	f.window = int(window)
	f.class = bits.Len(uint(window - 1))
	if f.dec, err = getZstdDecoder(f.class); err != nil {
		return err
	}
	return f.dec.Reset(zstdSource{f})
}

// zstdHeader looks at the frame's header, and waits for no more than that.
func zstdHeader(in *bufio.Reader) (h kzstd.Header, err error) {
	for n := 5; ; n++ {
		head, err := in.Peek(n)
		if err != nil {
			return h, err
		}
		if err := h.Decode(head); err != io.ErrUnexpectedEOF {
			return h, err
		}
	}
}

func getZstdDecoder(class int) (*kzstd.Decoder, error) {
	if d, ok := zstdDecoders[class].Get().(*kzstd.Decoder); ok {
		return d, nil
	}
	return kzstd.NewReader(nil,
		kzstd.WithDecoderConcurrency(1),
		kzstd.WithDecoderLowmem(true),
		kzstd.WithDecoderMaxWindow(1<<class))
}

// skip passes over a frame that holds nothing for us.
func (f *zstdFrame) skip(size uint32) error {
	_, err := f.in.Discard(f.left)
	f.left, f.last = 0, true
	for size > 0 && err == nil {
		n := min(size, 1<<20)
		_, err = f.in.Discard(int(n))
		size -= n
	}
	return err
}

func (f *zstdFrame) ahead() (int, error) { return min(f.window, maxZstdBlock), nil }

// Read decodes. The decoder's own errors say less than what the frame met.
func (f *zstdFrame) Read(p []byte) (int, error) {
	if f.dec == nil {
		return 0, io.EOF
	}
	n, err := f.dec.Read(p)
	if err != nil && err != io.EOF && f.err != nil {
		err = f.err
	}
	return n, err
}

// zstdSource is the side of a frame that its decoder reads.
type zstdSource struct{ *zstdFrame }

func (f zstdSource) Read(p []byte) (int, error) {
	if f.left == 0 {
		if f.err == nil {
			f.err = f.advance()
		}
		if f.err != nil {
			return 0, f.err
		}
	}
	n, err := f.in.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// advance looks at what comes next: a block, the checksum, or the end.
func (f *zstdFrame) advance() error {
	if f.last {
		if !f.checksum {
			return io.EOF
		}
		f.checksum = false
		f.left = 4
		return nil
	}
	head, err := f.in.Peek(3)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	word := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	f.last = word&1 != 0
	n := word >> 3
	if n > min(f.window, maxZstdBlock) {
		return errZstdBlock
	}
	if word>>1&3 == 1 { // one byte, that many times
		n = 1
	}
	f.left = len(head) + n
	return nil
}

func (f *zstdFrame) reset() {
	if f.dec != nil {
		if f.dec.Reset(nil) == nil {
			zstdDecoders[f.class].Put(f.dec)
		}
	}
	*f = zstdFrame{}
}
