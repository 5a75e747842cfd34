package transform

// The framing of s2 streams, which is that of snappy: a stream is chunks, and a
// chunk is a type, a length of three bytes, and a body.
//
// It has no end: a stream that is cut off between two chunks cannot be told from
// one that is whole. So the s2 stage promises an end in a chunk of its own, which
// other decoders skip, and keeps the promise in another one, which says how many
// bytes there were; the uns2 stage wants it kept. Streams of others promise
// nothing, and may end between any two chunks.

import (
	"encoding/binary"
	"hash/crc32"

	ks2 "github.com/klauspost/compress/s2"
)

const (
	s2Compressed   = 0x00 // checksum, block
	s2Uncompressed = 0x01 // checksum, bytes
	s2FirstSkipped = 0x80 // from here on, types that are skipped by those who do not know them
	s2Mark         = 0xd7 // ours: see s2Promise and s2End
	s2Identifier   = 0xff // the body of a magic number

	s2HeaderSize   = 4
	s2ChecksumSize = 4

	minS2Block = 4 << 10
	maxS2Block = 4 << 20 // the format's own limit

	s2Promise = "relayd: end follows"
	s2End     = "relayd: end " // and the number of bytes that were compressed
	s2EndSize = len(s2End) + 8
)

// maxS2Chunk is how long a chunk's body may be that unpacks to n bytes.
func maxS2Chunk(n int) int { return s2ChecksumSize + ks2.MaxEncodedLen(n) }

// appendS2Header appends the header of a chunk with a body of n bytes.
func appendS2Header(b []byte, kind byte, n int) []byte {
	return append(b, kind, byte(n), byte(n>>8), byte(n>>16))
}

// appendS2Promise and appendS2End append our chunks.

func appendS2Promise(b []byte) []byte {
	return append(appendS2Header(b, s2Mark, len(s2Promise)), s2Promise...)
}

func appendS2End(b []byte, total uint64) []byte {
	b = append(appendS2Header(b, s2Mark, s2EndSize), s2End...)
	return binary.LittleEndian.AppendUint64(b, total)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// s2Checksum is the format's checksum of a chunk's bytes.
func s2Checksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func appendS2Checksum(b, of []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, s2Checksum(of))
}
