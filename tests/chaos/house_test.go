package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"relayd/relay/preface"
)

// A house is where the relay is to dial: one target.
type house struct {
	Group   int    // by which conns tell whether they are where they were to go
	Path    string // of a Unix socket; "" for TCP
	TLS     bool
	Proxy   bool // connections begin with a PROXY header
	Through bool // whose TLS is the clients', and comes after the PROXY header
}

// What a check of the relay's asks, and is answered.
const (
	checkAsks   = "are you?"
	checkWishes = "I am."
)

// A host is at home in a house, and accepts what the relay dials.
type host struct {
	house
	at string

	mu sync.Mutex
	ln net.Listener
}

// listen opens a house.
func (c *cast) listen(h house) (*host, error) {
	u := &host{house: h, at: h.Path}
	if h.Path == "" {
		u.at = "127.0.0.1:0"
	}
	ln, err := u.open()
	if err != nil {
		return nil, err
	}
	u.at = ln.Addr().String()
	c.ends.Go(func() { c.serve(u, ln) })
	return u, nil
}

func (u *host) open() (net.Listener, error) {
	var l net.ListenConfig
	l.SetMultipathTCP(false)
	network := "tcp"
	if u.Path != "" {
		network = "unix"
	}
	ln, err := l.Listen(context.Background(), network, u.at)
	if err == nil {
		u.mu.Lock()
		u.ln = ln
		u.mu.Unlock()
	}
	return ln, err
}

func (u *host) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ln.Close()
}

// leave closes the upstream for a time: who dials it is refused.
func (u *host) leave(c *cast, d time.Duration) {
	u.close()
	pause(context.Background(), d)
	ln, err := u.open()
	if err != nil {
		c.blame("upstream %v does not come back: %v", u.at, err)
		return
	}
	c.ends.Go(func() { c.serve(u, ln) })
}

func (c *cast) serve(u *host, ln net.Listener) {
	for n := uint32(0); ; n++ {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		c.ends.Go(func() { c.answer(u, newWire(conn), n) })
	}
}

// answer plays an upstream's side. Few do something before they know who calls.
func (c *cast) answer(u *host, w *wire, n uint32) {
	r := randomOf(c.Seed, n, 3)
	if r.IntN(25) == 0 && !c.isPolite() {
		if r.IntN(2) == 0 {
			w.reset()
		}
		w.leave()
		return
	}
	w.SetReadDeadline(time.Now().Add(8 * time.Second))
	h, number, ok := c.greet(u, w)
	if !ok {
		w.leave()
		return
	}
	w.SetReadDeadline(time.Time{})
	k := c.arrived(u, h, number)
	if k == nil {
		w.leave()
		return
	}
	k.Upstream.Got = headSize
	p := &player{plan: c.plan(randomOf(c.Seed, number, 2)), c: w, s: &k.Upstream, in: patternOf(number, up), out: patternOf(number, down)}
	p.play(context.Background())
}

// greet reads what a connection begins with: all that the house expects, and the
// number of the call. It may end before that: the client may have been cut off
// right there, or it is the relay, who looks whether we are there.
func (c *cast) greet(u *host, w *wire) (h preface.Header, number uint32, ok bool) {
	var err error
	if u.Proxy && u.Through {
		if h, err = w.readProxy(); err != nil {
			return h, 0, c.excuse(err)
		}
	}
	if u.TLS || u.Through {
		if w.shakeServer(c.Certificate) != nil {
			return h, 0, false
		}
	}
	if u.Proxy && !u.Through {
		if h, err = w.readProxy(); err != nil {
			return h, 0, c.excuse(err)
		}
	}
	head := make([]byte, headSize)
	if _, err := io.ReadFull(w, head); err != nil {
		return h, 0, false
	}
	if string(head) == checkAsks {
		io.WriteString(w, checkWishes)
		return h, 0, false
	}
	number = binary.BigEndian.Uint32(head)
	if ^number != binary.BigEndian.Uint32(head[4:]) {
		c.blame("an upstream got % x where a call begins", head)
		return h, 0, false
	}
	return h, number, true
}

// excuse blames who sent something else than a PROXY header.
func (c *cast) excuse(err error) bool {
	var wrong *preface.Error
	if errors.As(err, &wrong) {
		c.blame("an upstream got no PROXY header: %v", err)
	}
	return false
}

// readProxy reads a PROXY header.
func (w *wire) readProxy() (preface.Header, error) {
	seen := make([]byte, 0, preface.MaxProxy)
	for {
		n, err := w.Conn.Read(seen[len(seen):cap(seen)])
		seen = seen[:len(seen)+n]
		if n > 0 {
			h, length, done, wrong := preface.ParseProxy(seen)
			if wrong != nil {
				return h, wrong
			}
			if done {
				w.Conn = &pushedBack{w.Conn, seen[length:]}
				return h, nil
			}
		}
		if err != nil {
			return preface.Header{}, err
		}
	}
}

// arrived notes that a call has come to an upstream: to the right one, once, and
// from whom the header says.
func (c *cast) arrived(u *host, h preface.Header, number uint32) *call {
	k := c.calls[number]
	if k == nil {
		c.blame("an upstream got the number %d, which no call has", number)
		return nil
	}
	c.mu.Lock()
	twice, group, from := k.Answered, k.Group, k.From
	k.Answered = true
	c.mu.Unlock()
	if twice {
		c.blame("call %v came to an upstream twice", k.home())
		return nil
	}
	if group != u.Group {
		c.blame("call %v came to upstream %d, its route leads to %d", k.home(), u.Group, group)
	}
	if says := sourceOf(h); u.Proxy && says != from {
		c.blame("call %v is from %q, the PROXY header says %q", k.home(), from, says)
	}
	return k
}

// sourceOf returns the IP address that a header names, or "".
func sourceOf(h preface.Header) string {
	if !h.Source.IsValid() {
		return ""
	}
	return h.Source.Addr().String()
}
