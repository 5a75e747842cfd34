package transform

// The uns2 stage: decompression of S2, and of framed snappy, which it extends.

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	ks2 "github.com/klauspost/compress/s2"
)

var uns2Definition = definition{
	Info: Info{
		Name:    "uns2",
		Summary: "decompress the S2 format, and framed snappy",
		Options: []Option{{
			Name:    "block",
			Default: "1M",
			Values:  "a power of two from 4k to 4M",
			Doc: "the largest block that a stream may have: a bound for what a hostile peer makes this stage hold;" +
				" a larger one is an error",
			canon: powersOfTwo(minS2Block, maxS2Block),
		}},
		Inverse: "s2",
		Memory:  "20 KiB while it is silent; otherwise up to 3.5 times the block in hand, and no more than has arrived or come out of it",
		Example: "uns2:block=64k",
		Notes: []string{
			"Streams in a row are one stream. What other programs write has no end in it, and may stop " +
				"between any two chunks; what the stage s2 writes must be whole.",
			"Where a stream begins with something else, its conn ends at once, with the reason " +
				"stage-failed and an error that says what came instead. What is cut off, and what follows the " +
				"end and belongs to no stream, are errors as well.",
		},
	},
	build: func(values []string) opener {
		limit := sizeOf(values[0])
		as := &decoding{
			formats: []*format{&s2Format, &snappyFormat},
			get:     func() unpacker { return &s2Unpacker{limit: limit} },
			put:     func(unpacker) {},
		}
		return func(src *source) io.ReadCloser { return &unpacking{src: src, as: as} }
	},
}

var (
	errS2Chunk    = errors.New("a chunk of a type that nobody knows")
	errS2Short    = errors.New("a chunk is shorter than its checksum")
	errS2Length   = errors.New("a chunk is longer than any that unpacks to a block")
	errS2Checksum = errors.New("wrong checksum")
	errS2Total    = errors.New("the stream lacks chunks, or has more than were sent")
	errS2Restart  = errors.New("another stream begins before the end of this one")
)

// An s2Unpacker takes a stream for one frame, because blocks need nothing that
// would have to be held between them.
type s2Unpacker struct {
	limit int // the largest block

	in       *bufio.Reader
	promised bool    // an end of ours follows
	some     bool    // there was a chunk besides the identifier
	total    uint64  // bytes of the stream so far
	body     *[]byte // of the chunk in hand; nil if there is none
	packed   bool    // it is compressed
	size     int     // what it unpacks to
}

func (s *s2Unpacker) begin(in *bufio.Reader) error {
	s.in = in
	_, err := in.Discard(maxMagic)
	return err
}

// ahead takes in chunks, up to one with a block, which may be an empty one.
func (s *s2Unpacker) ahead() (int, error) {
	for s.body == nil {
		if err := s.chunk(); err != nil {
			return 0, err
		}
	}
	return s.size, nil
}

// chunk takes in one chunk. It returns io.EOF where the stream may end.
func (s *s2Unpacker) chunk() error {
	head, err := s.in.Peek(s2HeaderSize)
	if err == io.EOF && len(head) == 0 && s.some && !s.promised {
		return io.EOF
	}
	if err != nil {
		return missing(err)
	}
	kind, n := head[0], int(head[1])|int(head[2])<<8|int(head[3])<<16
	s.in.Discard(s2HeaderSize)
	s.some = true
	switch {
	case kind == s2Compressed || kind == s2Uncompressed:
		return s.block(kind == s2Compressed, n)
	case kind == s2Identifier:
		return s.restart(n)
	case kind == s2Mark && n <= max(len(s2Promise), s2EndSize):
		return s.mark(n)
	case kind >= s2FirstSkipped:
		_, err := s.in.Discard(n)
		return missing(err)
	}
	return errS2Chunk
}

// missing is the error of a source that ended inside something.
func missing(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// block takes in a chunk with bytes in it, of n bytes itself.
func (s *s2Unpacker) block(packed bool, n int) error {
	most := s2ChecksumSize + s.limit
	if packed {
		most = maxS2Chunk(s.limit)
	}
	switch {
	case n < s2ChecksumSize:
		return errS2Short
	case n > maxS2Chunk(maxS2Block):
		return errS2Length
	case n > most:
		return s.tooLarge()
	}
	if err := s.fetch(n); err != nil {
		return err
	}
	s.packed, s.size = packed, n-s2ChecksumSize
	if packed {
		size, err := ks2.DecodedLen((*s.body)[s2ChecksumSize:])
		if err != nil {
			return err
		}
		if size > s.limit {
			return s.tooLarge()
		}
		s.size = size
	}
	return nil
}

func (s *s2Unpacker) tooLarge() error {
	return boundError(fmt.Sprintf("a block is larger than the limit, which is %s: "+
		"have the other end make smaller ones, or raise the option block here", size(s.limit)))
}

// fetch reads the body of a chunk. The buffer grows with what arrives, not with
// what was announced.
func (s *s2Unpacker) fetch(n int) error {
	if s.body == nil {
		s.body = borrow()
	}
	b := (*s.body)[:0]
	for len(b) < n {
		have := len(b)
		b = slices.Grow(b, min(n-have, max(have, minPending)))
		b = b[:min(n, cap(b))]
		m, err := io.ReadFull(s.in, b[have:])
		b = b[:have+m]
		if err != nil {
			*s.body = b
			return missing(err)
		}
	}
	*s.body = b
	return nil
}

// restart takes the identifier of another stream, which somebody has put behind
// the first.
func (s *s2Unpacker) restart(n int) error {
	if s.promised {
		return errS2Restart
	}
	if n != maxMagic-s2HeaderSize {
		return errS2Chunk
	}
	body, err := s.in.Peek(n)
	if err != nil {
		return missing(err)
	}
	if string(body) != string(s2Format.magic[s2HeaderSize:]) && string(body) != string(snappyFormat.magic[s2HeaderSize:]) {
		return errS2Chunk
	}
	s.in.Discard(n)
	s.some = false
	return nil
}

// mark takes a chunk that may be one of ours.
func (s *s2Unpacker) mark(n int) error {
	body, err := s.in.Peek(n)
	if err != nil {
		return missing(err)
	}
	switch text := string(body); {
	case text == s2Promise:
		s.promised = true
	case n == s2EndSize && strings.HasPrefix(text, s2End) && s.promised:
		if s.total != binary.LittleEndian.Uint64(body[len(s2End):]) {
			return errS2Total
		}
		err = io.EOF
	}
	s.in.Discard(n)
	return err
}

// Read decodes the chunk in hand.
func (s *s2Unpacker) Read(p []byte) (int, error) {
	body := *s.body
	p = p[:s.size]
	if data := body[s2ChecksumSize:]; !s.packed {
		copy(p, data)
	} else if _, err := ks2.Decode(p, data); err != nil {
		return 0, err
	}
	if s2Checksum(p) != binary.LittleEndian.Uint32(body) {
		return 0, errS2Checksum
	}
	s.total += uint64(len(p))
	s.release()
	return len(p), nil
}

func (s *s2Unpacker) reset() {
	s.release()
	s.in = nil
}

// release gives the body back.
func (s *s2Unpacker) release() {
	s.size = 0
	if s.body != nil {
		giveBack(s.body)
		s.body = nil
	}
}
