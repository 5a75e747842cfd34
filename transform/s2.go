package transform

// The s2 stage: compression to klauspost's extension of snappy.

import (
	"io"
	"slices"
	"sync"

	ks2 "github.com/klauspost/compress/s2"
)

var s2Definition = definition{
	Info: Info{
		Name:    "s2",
		Summary: "compress to the S2 format, fast, flushing whenever there is nothing more at hand",
		Options: []Option{{
			Name:    "level",
			Default: "1",
			Values:  "1 or 2",
			Doc:     "1 is faster and 2 is smaller",
			canon:   intRange(1, 2),
		}, {
			Name:    "block",
			Default: "64k",
			Values:  "a power of two from 4k to 4M",
			Doc:     "how much is compressed at a time while more is at hand; nothing that repeats is found beyond",
			canon:   powersOfTwo(minS2Block, maxS2Block),
		}},
		Inverse: "uns2",
		Memory:  "1 KiB while it is silent; otherwise 3.5 times the block, and up to 0.6 MiB of tables for the time of a call",
		Example: "s2:level=2",
		Notes: []string{
			"What has come in comes out as soon as nothing more is at hand: interactive traffic does not " +
				"wait here for a block to fill.",
			"The S2 format has no end: a stream that was cut between two chunks looks whole. So this " +
				"stage announces an end and writes it, in chunks that other decoders skip, and uns2 takes an " +
				"announced end that is missing for an error.",
			"The decoder must allow the block: uns2 allows up to 1M unless its own option says otherwise.",
		},
	},
	build: func(values []string) opener {
		setting := s2Setting{numberOf(values[0]), sizeOf(values[1])}
		from := encodersOf(setting, setting.encoder)
		return func(src *source) io.ReadCloser { return &packing{src: src, from: from} }
	},
}

// An s2Setting is what encoders of s2 differ by.
type s2Setting struct{ level, block int }

func (s s2Setting) encoder() (packer, error) { return &s2Packer{s2Setting: s}, nil }

// s2Buffers hold a block and the chunk that it becomes. They are sorted by
// block size.
type s2Buffers struct{ block, chunk []byte }

var s2Spare sync.Map // of *sync.Pool of *s2Buffers, by block size

func getS2Buffers(block int) *s2Buffers {
	pool, ok := s2Spare.Load(block)
	if !ok {
		pool, _ = s2Spare.LoadOrStore(block, new(sync.Pool))
	}
	if b, ok := pool.(*sync.Pool).Get().(*s2Buffers); ok {
		return b
	}
	return &s2Buffers{
		block: make([]byte, 0, block),
		chunk: make([]byte, 0, s2HeaderSize+maxS2Chunk(block)),
	}
}

func putS2Buffers(b *s2Buffers) {
	pool, _ := s2Spare.Load(cap(b.block))
	b.block = b.block[:0]
	pool.(*sync.Pool).Put(b)
}

// An s2Packer gathers a block. Blocks do not refer to each other, so between
// them it holds nothing, and a silence need not end the stream.
type s2Packer struct {
	s2Setting
	w     io.Writer
	begun bool       // the head is out
	total uint64     // bytes of the stream that are out
	buf   *s2Buffers // nil while it holds nothing
}

func (s *s2Packer) Reset(w io.Writer) {
	s.drop()
	s.w, s.begun, s.total = w, false, 0
}

func (s *s2Packer) drop() {
	if s.buf != nil {
		putS2Buffers(s.buf)
		s.buf = nil
	}
}

func (s *s2Packer) Write(p []byte) (n int, err error) {
	if s.buf == nil {
		s.buf = getS2Buffers(s.block)
	}
	for len(p) > 0 && err == nil {
		k := min(len(p), s.block-len(s.buf.block))
		s.buf.block = append(s.buf.block, p[:k]...)
		p, n = p[k:], n+k
		if len(s.buf.block) == s.block {
			err = s.emit()
		}
	}
	return n, err
}

func (s *s2Packer) Flush() (err error) {
	if s.buf != nil && len(s.buf.block) > 0 {
		err = s.emit()
	}
	s.drop()
	return err
}

func (s *s2Packer) Close() error {
	if err := s.Flush(); err != nil {
		return err
	}
	if err := s.head(); err != nil {
		return err
	}
	_, err := s.w.Write(appendS2End(nil, s.total))
	return err
}

// head writes what a stream begins with, once.
func (s *s2Packer) head() error {
	if s.begun {
		return nil
	}
	s.begun = true
	_, err := s.w.Write(appendS2Promise(slices.Clone(s2Format.magic)))
	return err
}

// emit writes the block as a chunk, compressed if that makes it smaller.
func (s *s2Packer) emit() error {
	if err := s.head(); err != nil {
		return err
	}
	block := s.buf.block
	const body = s2HeaderSize + s2ChecksumSize
	packed := s.encode(s.buf.chunk[body:cap(s.buf.chunk)], block)
	kind := byte(s2Compressed)
	if len(packed) >= len(block) {
		kind, packed = s2Uncompressed, block
	}
	chunk := appendS2Header(s.buf.chunk[:0], kind, s2ChecksumSize+len(packed))
	chunk = append(appendS2Checksum(chunk, block), packed...) // where it lies already, if it was compressed
	s.total += uint64(len(block))
	s.buf.block = block[:0]
	_, err := s.w.Write(chunk)
	return err
}

func (s *s2Packer) encode(dst, block []byte) []byte {
	if s.level == 1 {
		return ks2.Encode(dst, block)
	}
	return ks2.EncodeBetter(dst, block)
}
