package pcapng

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// A Writer writes a section of a capture file. Its methods, and those of its
// conns, may be called from any number of goroutines. It holds one packet, up to
// 64 KiB, and per live conn some 100 bytes.
type Writer struct {
	isn func() uint32 // initial sequence numbers; tests have their own

	mu       sync.Mutex
	w        io.Writer
	block    []byte // the one being made
	invented uint16 // ports given to clients without one
	live     map[[2]address]bool
	err      error
}

// Types of blocks, and of their options.
const (
	sectionHeader   = 0x0a0d0d0a
	interfaceBlock  = 1
	enhancedPacket  = 6
	byteOrderMagic  = 0x1a2b3c4d
	linkTypeRaw     = 101 // packets begin with the IP header
	optEnd          = 0
	optComment      = 1
	optApplication  = 4 // of a section
	optResolution   = 9 // of an interface
	nanoseconds     = 9 // resolution: 10^-9 s
	maxComment      = 1000
	packetFieldsEnd = 28 // where a packet begins in its block
)

// NewWriter begins a section on w, each block with one Write. It returns the
// first error of w, if there is one already.
func NewWriter(w io.Writer) (*Writer, error) {
	pw := &Writer{w: w, isn: rand.Uint32, live: make(map[[2]address]bool)}
	b := begin(nil, sectionHeader)
	b = binary.LittleEndian.AppendUint32(b, byteOrderMagic)
	b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1) // the section's length is open
	b = option(b, optApplication, "relayd")
	pw.write(end(option(b, optEnd, "")))
	b = begin(b[:0], interfaceBlock)
	b = binary.LittleEndian.AppendUint16(b, linkTypeRaw)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0) // packets are whole
	b = option(b, optResolution, string([]byte{nanoseconds}))
	return pw, pw.write(end(option(b, optEnd, "")))
}

// Err returns the error that ended the capture, nil if there was none. It is the
// first error of a write: after it nothing more is written.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// write writes one block, and keeps the error.
func (w *Writer) write(block []byte) error {
	if w.err != nil {
		return w.err
	}
	n, err := w.w.Write(block)
	if err == nil && n < len(block) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("write capture: %w", err)
	}
	return w.err
}

// beginPacket begins the block of a packet of n bytes, which the caller appends.
func (w *Writer) beginPacket(at time.Time, n int) []byte {
	stamp := uint64(at.UnixNano())
	b := begin(w.block[:0], enhancedPacket)
	b = binary.LittleEndian.AppendUint32(b, 0) // the interface
	b = binary.LittleEndian.AppendUint32(b, uint32(stamp>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(stamp))
	b = binary.LittleEndian.AppendUint32(b, uint32(n)) // captured
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// endPacket writes the block.
func (w *Writer) endPacket(b []byte, comment string) error {
	b = pad(b)
	if comment != "" {
		b = option(b, optComment, comment)
		b = option(b, optEnd, "")
	}
	w.block = end(b)
	return w.write(w.block)
}

// begin begins a block, whose length is not known yet.
func begin(b []byte, kind uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, kind)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// end ends the block that b is, with its length at both of its ends.
func end(b []byte) []byte {
	n := uint32(len(b) + 4)
	binary.LittleEndian.PutUint32(b[4:], n)
	return binary.LittleEndian.AppendUint32(b, n)
}

// option appends an option of a block.
func option(b []byte, code uint16, value string) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

// pad fills up to a multiple of four bytes.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
