package chaos

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A player plays one side of a call on a connection, to its end.
type player struct {
	plan
	c      *wire
	out    pattern
	in     pattern
	head   int64 // bytes of out that were sent, or of in that were read, before
	mu     sync.Mutex
	s      *side
	moved  int64
	early  chan struct{} // closed when the early end is due
	peered chan struct{} // closed when the peer's end was read, or reading is over
	once   sync.Once
}

// play returns when the connection is closed.
func (p *player) play(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, p.patience)
	defer stop()
	p.early, p.peered = make(chan struct{}), make(chan struct{})
	p.s.Plan = p.name
	if p.narrow {
		p.c.raw.SetReadBuffer(4 << 10)
	}
	p.count(0)
	if p.silence > 0 {
		pause(ctx, p.silence)
	}
	writer, reader := make(chan struct{}), make(chan struct{})
	go p.write(ctx, writer)
	go p.read(ctx, reader)
	how := p.await(ctx, writer, reader)
	p.c.SetDeadline(time.Unix(1, 0))
	switch how {
	case reset:
		p.s.Closed = p.c.reset()
	case vanish:
		p.s.Closed = p.c.vanish()
	default:
		p.s.Closed = p.c.leave()
	}
	<-writer
	<-reader
	if how != politely {
		p.s.Broken = true
	}
}

// await waits until both directions have ended, or the side is to leave before,
// and says how it leaves.
func (p *player) await(ctx context.Context, writer, reader <-chan struct{}) ending {
	for writer != nil || reader != nil {
		select {
		case <-writer:
			writer = nil
		case <-reader:
			reader = nil
		case <-p.early:
			return p.ending
		case <-ctx.Done():
			if p.ending == politely {
				return rudely
			}
			return p.ending
		}
	}
	if p.take != everything { // something may be unread
		return rudely
	}
	if p.ending != politely && p.after == everything {
		return p.ending
	}
	return politely
}

// count adds to what was moved, and makes the early end due.
func (p *player) count(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved += n
	if p.after < everything && p.moved >= p.after {
		p.once.Do(func() { close(p.early) })
	}
}

func (p *player) write(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	buf := make([]byte, p.piece)
	sent := p.head
	for sent < p.send {
		b := buf[:min(int64(len(buf)), p.send-sent)]
		p.out.fill(b, sent)
		n, err := p.c.Write(b)
		sent += int64(n)
		p.s.Sent = sent
		p.count(int64(n))
		if err != nil {
			return
		}
		if p.gap > 0 && pause(ctx, p.gap) != nil {
			return
		}
	}
	p.s.Sent = sent
	if !p.fin {
		select {
		case <-p.peered:
		case <-p.early:
			return
		case <-ctx.Done():
			return
		}
	}
	if p.c.CloseWrite() == nil {
		p.s.Fin = true
	}
}

func (p *player) read(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	defer close(p.peered)
	if p.deaf > 0 && pause(ctx, p.deaf) != nil {
		return
	}
	buf := make([]byte, p.sip)
	for p.s.Got < p.take {
		n, err := p.c.Read(buf)
		if wrong := p.in.check(buf[:n], p.s.Got); wrong != nil && p.s.Wrong == "" {
			p.s.Wrong = wrong.Error()
		}
		p.s.Got += int64(n)
		p.count(int64(n))
		if err != nil {
			if p.s.EOF = err == io.EOF; !p.s.EOF {
				p.s.Err = cause(err).Error()
			}
			return
		}
	}
}

// cause is the innermost error.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// pause waits. It fails when ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
