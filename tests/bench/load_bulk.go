// A bulk load is streams that send, or receive, as fast as they can.

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

type bulk struct {
	job
	receive bool
	conns   []*net.TCPConn
	bytes   atomic.Int64
}

// prepare opens the streams, through to the backend.
func (b *bulk) prepare() error {
	b.conns = make([]*net.TCPConn, b.Conns)
	return parallel(b.Conns, b.Openers, b.open)
}

func (b *bulk) open(i int) error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	b.conns[i] = c
	h := header{service: sink, offset: offset(i), duration: b.Measure, patience: b.Patience}
	if b.receive {
		h.service = source
	}
	if _, err := c.Write(h.append(nil)); err != nil {
		return err
	}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return err
	}
	if first[0] != hello {
		return &corruptError{0}
	}
	return nil
}

// measure includes the FINs and the reports: nothing may be left behind.
func (b *bulk) measure() (tally, error) {
	start := time.Now()
	f := b.sendStream
	if b.receive {
		f = b.receiveStream
	}
	err := parallel(b.Conns, 0, f)
	return tally{Bytes: b.bytes.Load(), Elapsed: time.Since(start)}, err
}

func (b *bulk) sendStream(i int) error {
	c, up := b.conns[i], upwards()
	n := int64(0)
	for end := time.Now().Add(b.Measure); n == 0 || time.Now().Before(end); n += window {
		if err := up.write(c, offset(i)+n, window); err != nil {
			return fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	b.bytes.Add(n)
	return readReport(c, n)
}

func (b *bulk) receiveStream(i int) error {
	c, down := b.conns[i], downwards()
	if _, err := c.Write([]byte{hello}); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	buf := make([]byte, window)
	for n := int64(0); ; n += window {
		got, err := io.ReadFull(c, buf)
		switch {
		case err == nil:
			if err := down.check(buf, offset(i)+n); err != nil {
				return fmt.Errorf("on the way down: %w", err)
			}
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			b.bytes.Add(n)
			return verify(buf[:got], n)
		default:
			return fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
}

func (b *bulk) end() error { return nil }
