package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Append begins a section at the end of f, which is open for reading and for
// appending, and stays the caller's. A file that is not empty has to be a
// capture. If its last block was cut off, by the death of a process or by a full
// disk, that block is removed first: nobody could read what comes after it.
//
// Several processes may append to a file at the same time. Each holds a shared
// lock on it (flock), and removes nothing unless it is alone.
func Append(f *os.File) (*Writer, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return NewWriter(f) // a device: there is nothing in it
	}
	a := &appended{f}
	if err := a.repair(); err != nil {
		return nil, &os.PathError{Op: "append to", Path: f.Name(), Err: err}
	}
	return NewWriter(a)
}

// errNotCapture is what a file is that we will not append to.
var errNotCapture = errors.New("it is no pcapng file: move it away, or name another one")

// An appended is a file that is written at its end, by blocks.
type appended struct{ f *os.File }

// Write writes a block. When the disk has no room for all of it, the part that
// was written is taken back, so that the file stays readable.
func (a *appended) Write(block []byte) (int, error) {
	n, err := a.f.Write(block)
	if err == nil || n == 0 {
		return n, err
	}
	if lockAlone(a.f) { // then the last n bytes are ours
		if info, serr := a.f.Stat(); serr == nil {
			a.f.Truncate(info.Size() - int64(n))
		}
	}
	lockShared(a.f)
	return n, err
}

// repair makes the file end with a whole block, and leaves it locked.
func (a *appended) repair() error {
	if !lockAlone(a.f) {
		return lockShared(a.f)
	}
	info, err := a.f.Stat()
	if err != nil {
		return err
	}
	whole, err := wholeBlocks(a.f, info.Size())
	if err != nil {
		return err
	}
	if info.Size()-whole > maxTorn {
		return fmt.Errorf("%w: after byte %d there is no block", errNotCapture, whole)
	}
	if whole < info.Size() {
		if err := a.f.Truncate(whole); err != nil {
			return err
		}
	}
	return lockShared(a.f)
}

const (
	minBlock   = 12 // the least sizes of blocks
	minSection = 28

	// maxTorn is how much of a file is taken for one block that was cut off:
	// more than any has that is written here.
	maxTorn = 256 << 10
)

// wholeBlocks returns how much of a file of the given size is whole blocks.
// Usually a look at both of its ends says that it all is.
func wholeBlocks(f io.ReaderAt, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	first := make([]byte, min(size, minBlock))
	if _, err := f.ReadAt(first, 0); err != nil {
		return 0, err
	}
	magic := binary.LittleEndian.AppendUint32(nil, sectionHeader)
	if string(first[:min(len(first), 4)]) != string(magic[:min(len(first), 4)]) {
		return 0, errNotCapture
	}
	if size < minSection {
		return 0, nil // the beginning of a section's header
	}
	order := byteOrder(first)
	if order == nil {
		return 0, errNotCapture
	}
	if endsWhole(f, size, order) {
		return size, nil
	}
	return walk(f, size)
}

// byteOrder returns that of a section, by the first bytes of its header.
func byteOrder(header []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(header[8:]) == byteOrderMagic:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(header[8:]) == byteOrderMagic:
		return binary.BigEndian
	}
	return nil
}

// endsWhole reports whether a file ends with what looks like a block: its length
// stands at both of its ends.
func endsWhole(f io.ReaderAt, size int64, order binary.ByteOrder) bool {
	var last [4]byte
	if _, err := f.ReadAt(last[:], size-4); err != nil {
		return false
	}
	n := int64(order.Uint32(last[:]))
	if size%4 != 0 || n < minBlock || n%4 != 0 || n > size {
		return false
	}
	var head [8]byte
	_, err := f.ReadAt(head[:], size-n)
	return err == nil && known(order.Uint32(head[:])) && order.Uint32(head[4:]) == uint32(n)
}

// known reports whether there are blocks of a type in ordinary files.
func known(kind uint32) bool {
	return kind >= interfaceBlock && kind <= enhancedPacket || kind == sectionHeader
}

// walk goes from block to block, and returns where the last whole one ends.
func walk(f io.ReaderAt, size int64) (int64, error) {
	var at int64
	var order binary.ByteOrder
	var head [minBlock]byte
	for at+minBlock <= size {
		if _, err := f.ReadAt(head[:], at); err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint32(head[:]) == sectionHeader {
			if order = byteOrder(head[:]); order == nil {
				return 0, fmt.Errorf("%w: block at byte %d", errNotCapture, at)
			}
		}
		n := int64(order.Uint32(head[4:]))
		if n < minBlock || n%4 != 0 {
			return 0, fmt.Errorf("%w: block at byte %d", errNotCapture, at)
		}
		if at+n > size {
			break
		}
		at += n
	}
	return at, nil
}
