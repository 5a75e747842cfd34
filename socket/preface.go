package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"

	"relayd/lifetime"
)

// A preface is the beginning of a connection that has to be looked at before it
// is known what becomes of the rest: the header of a proxy in front of us, or
// the ClientHello of TLS, which names the host that is wanted. It is read before
// the halves are handed out, and what belongs to the stream is given back.

// How much a Preface reads at most, and at first. Most prefaces fit the second;
// more is held only for who sends more.
const (
	prefaceLimit = bufferSize
	prefaceFirst = 2 << 10
)

// ErrPrefaceTooLong is returned by [Socket.Preface] when the limit is reached.
var ErrPrefaceTooLong = errors.New("it goes on after the limit")

var errPrefacing = errors.New("its beginning is being read")

// Preface reads the beginning of the connection, before the read half is handed
// out. It calls parse with all that has come so far, each time that more has,
// until parse is done or returns an error, and never with more than limit bytes;
// a limit of 0 or less is 64 KiB. parse says how many bytes it has consumed when
// it is done, which may be none, or when it fails. All others are given back: a
// later Preface, or whoever has the read half then, on a goroutine or on a loop,
// reads them first. Nothing is consumed when Preface ends in another way, so that
// who wants to can go on with the stream as it came.
//
// It returns io.EOF when the peer has finished without a byte, and an error that
// is io.ErrUnexpectedEOF when it has in the midst; [ErrPrefaceTooLong] at the
// limit; the cause of ctx when that ends first; and what a Read would have
// returned when the connection has failed, or was dropped or shut down, which
// wakes it. [IsUnspoken] knows the ends before the first byte. After the read half
// was handed out it is [lifetime.ErrTaken]; and while a Preface runs the read half
// is not to be had, nor is a second one.
//
// The bytes that parse sees do not change later, and are not its own to change.
func (s *Socket) Preface(ctx context.Context, limit int, parse func(seen []byte) (consumed int, done bool, err error)) error {
	if err := s.node.Enter(); err != nil {
		return s.error("preface", err)
	}
	defer s.node.Leave()
	p := s.newPreface()
	if err := p.begin(s); err != nil {
		return s.error("preface", err)
	}
	stop := context.AfterFunc(ctx, func() { p.wake(context.Cause(ctx)) })
	defer p.end(s)
	defer stop()
	if limit <= 0 {
		limit = prefaceLimit
	}
	return p.run(s, limit, parse)
}

// A layered transport speaks a protocol of its own over another transport, as
// TLS does, from its first Read or Write on. What comes before that a Preface
// reads off the transport below, and what it gives back is for the layer, which
// reads it first.
type layered interface {
	// below reports false when the layer has begun: then its own stream has
	// prefaces, as that of any transport.
	below() (t transport, given *pushback, ok bool)
}

// A preface is one being read.
type preface struct {
	t     transport
	given *pushback

	mu    sync.Mutex
	woken error // why it is to end; the first reason counts
	over  bool
}

// newPreface returns one of s, which it reads where the stream begins.
func (s *Socket) newPreface() *preface {
	p := &preface{t: s.t, given: &s.unusual().given}
	if l, ok := s.t.(layered); ok {
		if t, given, ok := l.below(); ok {
			p.t, p.given = t, given
		}
	}
	return p
}

// begin makes p known to the socket's interrupt. One that came before found
// nobody to wake, but left its mark.
func (p *preface) begin(s *Socket) error {
	if s.marks.has(readTaken) {
		return lifetime.ErrTaken
	}
	if !s.unusual().preface.CompareAndSwap(nil, p) {
		return errPrefacing
	}
	if err := s.node.Err(); errors.Is(err, net.ErrClosed) {
		p.end(s)
		return err
	}
	return nil
}

// wake makes the read that is under way, and the next one, fail.
func (p *preface) wake(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over && p.woken == nil {
		p.woken = why
		p.t.interruptRead()
	}
}

// end lets others read again.
func (p *preface) end(s *Socket) {
	p.mu.Lock()
	p.over = true
	if p.woken != nil {
		p.t.resumeRead()
	}
	p.mu.Unlock()
	s.unusual().preface.Store(nil)
}

// interrupt wakes a Preface and ends a handshake: the socket was dropped or shut
// down. Operations of the halves are the halves' own.
func (s *Socket) interrupt(cause error) {
	if t, ok := s.t.(*tlsTransport); ok && !t.up.Load() {
		t.interrupt()
	}
	if x := s.rare.Load(); x != nil {
		if p := x.preface.Load(); p != nil {
			p.wake(cause)
		}
	}
}

func (p *preface) run(s *Socket, limit int, parse func([]byte) (int, bool, error)) error {
	seen, consumed := make([]byte, 0, min(limit, prefaceFirst)), 0
	defer func() { p.given.give(seen[consumed:]) }()
	for {
		n, err := p.read(seen[len(seen):cap(seen)])
		seen = seen[:len(seen)+n]
		if n > 0 {
			m, done, err := parse(seen)
			if m < 0 || m > len(seen) {
				panic(fmt.Sprintf("socket: a preface of %s consumed %d bytes of %d", s.node.Name(), m, len(seen)))
			}
			if err != nil || done {
				consumed = m
			}
			if err != nil {
				return s.error("preface", err)
			}
			if done {
				return nil
			}
		}
		switch {
		case err != nil:
			return p.failed(s, err, len(seen) > 0)
		case len(seen) == limit:
			return s.error("preface", ErrPrefaceTooLong)
		case len(seen) == cap(seen):
			seen = slices.Grow(seen, min(len(seen), limit-len(seen)))
			seen = seen[:len(seen):min(cap(seen), limit)]
		}
	}
}

// read reads what was given back before, and then the connection.
func (p *preface) read(b []byte) (int, error) {
	if n := p.given.take(b); n > 0 {
		return n, nil
	}
	if k, ok := p.t.(*kernelTransport); ok {
		if n, err := k.readLoose(b); err != syscall.EAGAIN {
			return n, err
		}
	}
	return p.t.Read(b)
}

// readLoose reads what has come for a loose connection, which so need not be parked
// and taken back by its loop. Mostly a preface has come when it is looked for. If
// there is nothing, or t is not loose, the error is EAGAIN.
func (t *kernelTransport) readLoose(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parked.Load() != nil || t.fd < 0 || t.slot != 0 || t.noRead {
		return 0, syscall.EAGAIN
	}
	switch n, errno := (kernel{}).read(int(t.fd), b); {
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// failed returns what a Preface is to return for an error of the transport.
func (p *preface) failed(s *Socket, err error, midst bool) error {
	p.mu.Lock()
	woken := p.woken
	p.mu.Unlock()
	if own := ownEnd(&s.node, woken, err); own != nil {
		return s.error("preface", own)
	}
	switch {
	case err != io.EOF:
		err = s.fail(reason(err))
	case s.r.reset():
		err = s.fail(errReset)
	case midst:
		err = io.ErrUnexpectedEOF
	default:
		return io.EOF
	}
	if !midst && IsReset(err) {
		err = unspoken{err}
	}
	return s.error("preface", err)
}
