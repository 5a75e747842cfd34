// What load and backend say to each other, besides the pattern.

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// A service is what the backend does for a connection.
type service uint8

const (
	// answer takes messages and answers each by one of the same size.
	answer service = iota + 1

	// sink takes all there is until the FIN.
	sink

	// source waits for the FIN, and then sends for a time.
	source
)

// A header is how a connection begins.
type header struct {
	service  service
	report   bool          // answer: a report follows the client's FIN
	size     int           // answer: of a message
	offset   int64         // where in the patterns this connection begins
	duration time.Duration // source: how long to send
	patience time.Duration // after which the backend gives the connection up
}

const (
	headerLen = 40
	magic     = 0x72656c61
)

func (h header) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, magic)
	b = append(b, byte(h.service), bit(h.report), 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = binary.BigEndian.AppendUint64(b, uint64(h.offset))
	b = binary.BigEndian.AppendUint64(b, uint64(h.duration))
	return binary.BigEndian.AppendUint64(b, uint64(h.patience))
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func readHeader(r io.Reader) (header, error) {
	var b [headerLen]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return header{}, err
	}
	if binary.BigEndian.Uint32(b[:]) != magic {
		return header{}, errors.New("no header of this benchmark")
	}
	return header{
		service:  service(b[4]),
		report:   b[5] != 0,
		size:     int(binary.BigEndian.Uint64(b[8:])),
		offset:   int64(binary.BigEndian.Uint64(b[16:])),
		duration: time.Duration(binary.BigEndian.Uint64(b[24:])),
		patience: time.Duration(binary.BigEndian.Uint64(b[32:])),
	}, nil
}

// A report is what the backend says after the client's FIN.
type report struct {
	bad   int64 // the position of the first wrong byte, plus 1; 0 if there is none
	count int64 // of bytes: those that sink and answer got, that source sent
}

const (
	reportLen   = 24
	reportMagic = 0x7265706f72740000
)

func (r report) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, reportMagic)
	b = binary.BigEndian.AppendUint64(b, uint64(r.bad))
	return binary.BigEndian.AppendUint64(b, uint64(r.count))
}

// verify holds the report in b against what should be in it.
func verify(b []byte, count int64) error {
	switch {
	case len(b) != reportLen:
		return fmt.Errorf("the answer after the FIN has %d bytes, not %d", len(b), reportLen)
	case binary.BigEndian.Uint64(b) != reportMagic:
		return errors.New("the answer after the FIN is not what was sent")
	}
	bad := int64(binary.BigEndian.Uint64(b[8:]))
	got := int64(binary.BigEndian.Uint64(b[16:]))
	switch {
	case bad != 0:
		return fmt.Errorf("on the way up: %w", &corruptError{bad - 1})
	case got != count:
		return fmt.Errorf("%d bytes were sent, %d arrived", count, got)
	}
	return nil
}

// readReport reads the report and the end of the stream.
func readReport(r io.Reader, count int64) error {
	b, err := io.ReadAll(io.LimitReader(r, reportLen+1))
	if err != nil {
		return fmt.Errorf("the answer after the FIN: %w", err)
	}
	return verify(b, count)
}

// hello is the backend's first byte to those that send or get bulk: that the
// connection is there, end to end.
const hello = 'h'
