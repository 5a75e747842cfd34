package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"relayd/socket"
)

// The bounds of checking.
const (
	maxChecks     = 32       // at a time
	maxAnswer     = 16 << 10 // bytes of an answer
	firstChecks   = time.Second
	betweenChecks = 10 * time.Millisecond // for each member, the time of the first ones is longer by that
	checkLinger   = time.Second           // for a member to take its leave
)

var checkPlace = socket.NewPlace("check")

// check checks a member once.
func (m *Member) check() {
	p := m.p
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.ctx, p.c.Check.Timeout)
	err := p.o.probe(ctx, m)
	cancel()
	now := time.Now()

	p.mu.Lock()
	defer p.mu.Unlock()
	m.checking = false
	m.checkAt = began.Add(p.jitter(p.c.Check.Every))
	poke(p.wake)
	if p.closed || m.out {
		return
	}
	m.checked, m.checkTook, m.checkErr = now, now.Sub(began), err
	if err == nil || blames(err) {
		m.verdict(err)
		p.update(m, now)
	}
}

// verdict counts a check. The first one decides at once.
func (m *Member) verdict(err error) {
	k := &m.p.c.Check
	first := m.unchecked
	m.unchecked = false
	if err == nil {
		m.bad = 0
		m.good++
		if m.sick != "" && m.good >= k.Rise {
			m.sick = ""
			m.forgive() // it was seen to answer
		}
		return
	}
	m.good = 0
	m.bad++
	if first || m.sick != "" || m.bad >= k.Fall {
		m.sick = "check failed: " + err.Error()
	}
}

// probe dials a member as conns do, and asks what is to be asked. What it leaves
// is a FIN, after which the socket drains in its own time.
func probe(ctx context.Context, m *Member) error {
	p := m.p
	s, err := m.dialer.Dial(ctx, socket.At{Parent: &p.node, Place: checkPlace, Linger: checkLinger, MaxLinger: checkLinger})
	if err != nil {
		return err
	}
	if len(p.send)+len(p.expect) == 0 {
		s.Resource().BeginDrop()
		return nil
	}
	c, err := socket.NewConn(s)
	if err != nil {
		s.Resource().BeginShutdown(err)
		return err
	}
	defer c.Close()
	// Sockets of any kind can be shut down; not all have deadlines.
	stop := context.AfterFunc(ctx, func() { s.Resource().BeginShutdown(ctx.Err()) })
	defer stop()
	return p.converse(ctx, c)
}

// converse sends a question, and looks for a text in the answer. When ctx ends,
// c does.
func (p *Pool) converse(ctx context.Context, c io.ReadWriter) error {
	if len(p.send) > 0 {
		if _, err := c.Write(p.send); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
	}
	if len(p.expect) == 0 {
		return nil
	}
	answer := make([]byte, 0, 512)
	for len(answer) < maxAnswer {
		if len(answer) == cap(answer) {
			answer = append(make([]byte, 0, 2*cap(answer)), answer...)
		}
		n, err := c.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		switch {
		case bytes.Contains(answer, p.expect):
			return nil
		case err == io.EOF:
			return p.unexpected(answer, nil)
		case err != nil:
			return p.unexpected(answer, cmp.Or(ctx.Err(), err))
		}
	}
	return p.unexpected(answer, nil)
}

// unexpected says that an answer is not the right one, and what has ended it, if
// that was no end.
func (p *Pool) unexpected(answer []byte, err error) error {
	whole := "the answer"
	if len(answer) >= maxAnswer {
		whole = fmt.Sprintf("the first %d bytes of the answer", maxAnswer)
	}
	text := fmt.Sprintf("%q is not in %s %s", p.expect, whole, abridged(answer))
	if p.c.Check.Secret {
		text = fmt.Sprintf("what is expected is not in %s, of %d bytes", whole, len(answer))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return errors.New(text)
}

// abridged quotes the beginning of an answer.
func abridged(answer []byte) string {
	const most = 64
	if len(answer) > most {
		return strconv.Quote(string(answer[:most])) + "…"
	}
	return strconv.Quote(string(answer))
}

// maxText is how long the texts of a check may be.
const maxText = 4 << 10

// unescape returns the bytes that a text of a check stands for.
func unescape(text string) ([]byte, error) {
	var b []byte
	if len(text) > maxText {
		return nil, fmt.Errorf("a text has %d bytes; %d is the most", len(text), maxText)
	}
	for rest := text; rest != ""; {
		if rest[0] != '\\' {
			b = append(b, rest[0])
			rest = rest[1:]
			continue
		}
		if len(rest) > 1 && (rest[1] == '"' || rest[1] == '\'') {
			b = append(b, rest[1])
			rest = rest[2:]
			continue
		}
		r, multibyte, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return nil, fmt.Errorf("text %q: the escape at byte %d is none: write \\r, \\n, \\t, \\xFF, or \\\\ for a backslash", text, len(text)-len(rest)+1)
		}
		if multibyte {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		rest = tail
	}
	return b, nil
}

var errNoAddress = errors.New("the answer has no address")
