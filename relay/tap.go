package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A Tap sees what one conn relays, and never stalls it: what does not fit into
// its queue is left out, and counted. The conn is not held by it, stays on its
// event loop, and goes on as before; but its bytes pass through our memory, and
// are not spliced. One goroutine calls Next, any may call Close.
type Tap struct {
	c     *conn
	side  Side
	limit int
	more  chan struct{} // has room for one: something has come

	mu     sync.Mutex
	queue  []TapEvent
	size   int // what the queue costs
	sees   [2]seen
	closed bool
	over   bool // the last event is in the queue
}

// A seen is what a tap knows of one direction.
type seen struct {
	begun, ended bool
	at           int64 // the offset of the next byte
	missed       int64 // bytes left out since the last event
}

// TapOptions say what a tap is to see.
type TapOptions struct {
	At TapPlace
	// Queue is how many bytes may wait for the watcher, each event counted with
	// [TapEventCost] more than it has. Zero is [DefaultTapQueue].
	Queue int
}

// A TapPlace is a side of a conn's stages. Both directions are seen there: one
// before its chain, the other one after. Without stages the sides do not differ.
type TapPlace uint8

// The places. Plain is where the bytes are as the programs at both ends mean
// them, before what encodes and after what decodes, and Wire is the other side:
// of the near end of a tunnel Plain is the client's side, of the far end Wire is.
// If nothing encodes or decodes, Plain is the client's side.
const (
	AtPlain TapPlace = iota
	AtWire
	AtClient
	AtUpstream
)

// Limits of taps.
const (
	DefaultTapQueue = 1 << 20
	TapEventCost    = 128
	MaxTaps         = 8 // of one conn
)

// ErrTooManyTaps is that a conn has [MaxTaps] already.
var ErrTooManyTaps = fmt.Errorf("the conn has %d taps already, the most that it can have", MaxTaps)

// A TapEvent is something that a tap has seen: bytes, or the end of a direction,
// or that of the conn.
type TapEvent struct {
	At   time.Time
	From Side // the sender: Client for up, Upstream for down. Us: the conn has ended
	// Data is the receiver's own. Offset is where it begins in all that this
	// direction has brought to this side of the stages since the conn began.
	Data   []byte
	Offset int64
	// Missed is how many bytes just before were left out, because the watcher
	// was slow.
	Missed int64
	// End is "" as long as there may be more, and then how the direction has
	// ended ("fin", or what went wrong), or the reason of the conn.
	End string
}

// Tap begins to watch a conn. The caller owes a [Tap.Close].
func (s *Server) Tap(id string, o TapOptions) (*Tap, error) {
	c := s.find(id)
	if c == nil {
		return nil, ErrNoConn
	}
	t := &Tap{c: c, limit: o.Queue, more: make(chan struct{}, 1)}
	if t.limit <= 0 {
		t.limit = DefaultTapQueue
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.path.Load().chosen() && (o.At == AtPlain || o.At == AtWire) {
		return nil, ErrOpening // its stages say which side that is
	}
	x := c.unusual()
	if len(x.taps) >= MaxTaps {
		return nil, ErrTooManyTaps
	}
	t.side = c.sideOf(o.At)
	x.taps = append(slices.Clip(x.taps), t)
	bits := c.bits.Or(tapped)
	if bits&relaying != 0 {
		c.watchBytes()
	}
	for _, p := range c.pumps() {
		if p.over(c) {
			t.end(c, p, "ended before")
		}
	}
	if bits&isOver != 0 {
		t.finish("ended before")
	}
	return t, nil
}

// Side returns the side of the stages that t sees: [Client] or [Upstream].
func (t *Tap) Side() Side { return t.side }

// Close ends the watching. It waits for nobody. Next returns what is in the queue
// no more, but [net.ErrClosed].
func (t *Tap) Close() error {
	c := t.c
	c.mu.Lock()
	x := c.rare
	x.taps = slices.DeleteFunc(slices.Clone(x.taps), func(o *Tap) bool { return o == t })
	if len(x.taps) == 0 {
		c.bits.And(^uint32(tapped))
		if c.bits.Load()&relaying != 0 {
			c.up.src(c).Watch(nil)
			c.down.src(c).Watch(nil)
		}
	}
	c.mu.Unlock()
	t.mu.Lock()
	t.closed, t.queue = true, nil
	t.mu.Unlock()
	t.tell()
	return nil
}

// Next returns what was seen next, and waits for it. After the conn's end it
// returns [io.EOF]. When ctx ends it returns the context's cause.
func (t *Tap) Next(ctx context.Context) (TapEvent, error) {
	for {
		if e, ok := t.TryNext(); ok {
			return e, nil
		}
		t.mu.Lock()
		closed, over := t.closed, t.over && len(t.queue) == 0
		t.mu.Unlock()
		switch {
		case closed:
			return TapEvent{}, net.ErrClosed
		case over:
			return TapEvent{}, io.EOF
		}
		select {
		case <-t.more:
		case <-ctx.Done():
			return TapEvent{}, context.Cause(ctx)
		}
	}
}

// TryNext is Next if that would not wait. Otherwise it returns false.
func (t *Tap) TryNext() (TapEvent, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return TapEvent{}, false
	}
	e := t.queue[0]
	t.queue[0] = TapEvent{}
	t.queue = t.queue[1:]
	t.size -= e.cost()
	return e, true
}

func (e *TapEvent) cost() int { return len(e.Data) + TapEventCost }

// tell wakes Next.
func (t *Tap) tell() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// see takes bytes that p moves, of which the first is at an offset.
func (t *Tap) see(i int, from Side, at int64, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.over {
		return
	}
	d := &t.sees[i]
	if !d.begun {
		d.begun, d.at = true, at
	}
	e := TapEvent{At: time.Now(), From: from, Offset: d.at, Missed: d.missed}
	d.at += int64(len(b))
	if t.size > 0 && t.size+len(b)+TapEventCost > t.limit {
		d.missed += int64(len(b))
		return
	}
	e.Data = slices.Clone(b)
	d.missed = 0
	t.add(e)
}

// add puts an event into the queue. t.mu is held.
func (t *Tap) add(e TapEvent) {
	t.queue = append(t.queue, e)
	t.size += e.cost()
	t.tell()
}

// end notes the end of a direction, of which it may have seen nothing.
func (t *Tap) end(c *conn, p *pump, how string) {
	at := t.offset(c, p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := &t.sees[p.index(c)]; !d.begun {
		d.at = at
	}
	t.endLocked(p.index(c), p.from(c), how)
}

// offset returns how many bytes p, which has ended, has brought to t's side of the
// stages.
func (t *Tap) offset(c *conn, p *pump) int64 {
	switch {
	case t.side == p.from(c):
		return p.moved.In.Load()
	case p.marked(c, pumpStaged):
		return p.moved.Out.Load()
	}
	return p.moved.In.Load() - p.skew(c)
}

// endLocked is end for who holds t.mu. It finds room for each end once.
func (t *Tap) endLocked(i int, from Side, how string) {
	d := &t.sees[i]
	if d.ended || t.closed || t.over {
		return
	}
	d.ended = true
	t.add(TapEvent{At: time.Now(), From: from, Offset: d.at, Missed: d.missed, End: how})
}

// finish notes the end of the conn.
func (t *Tap) finish(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, p := range t.c.pumps() {
		if t.sees[i].begun {
			t.endLocked(i, p.from(t.c), "cut")
		}
	}
	if !t.closed && !t.over {
		t.add(TapEvent{At: time.Now(), From: Us, End: reason})
		t.over = true
	}
}

// sideOf returns the side that a place is at. c.mu is held.
func (c *conn) sideOf(at TapPlace) Side {
	switch at {
	case AtClient:
		return Client
	case AtUpstream:
		return Upstream
	}
	wire := Upstream
	for i, p := range c.pumps() {
		for _, stage := range c.chainOf(p) {
			if _, err := stage.Inverse(); err == nil && stage.Decodes() == (i == 0) {
				wire = Client
			}
		}
	}
	if at == AtPlain {
		return Client + Upstream - wire
	}
	return wire
}

// watchTaps makes the taps that came while the conn dialled see what it moves.
func (c *conn) watchTaps() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rare.taps) > 0 {
		c.watchBytes()
	}
}

// watchBytes makes the taps see what is read. The conn relays, and c.mu is held.
func (c *conn) watchBytes() {
	c.up.src(c).Watch((*upward)(c))
	c.down.src(c).Watch((*downward)(c))
}

// taps returns those of the conn.
func (c *conn) taps() []*Tap {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rare == nil {
		return nil
	}
	return c.rare.taps
}

// Saw shows what was read.
func (u *upward) Saw(b []byte)   { (*conn)(u).comes(&u.up, b) }
func (d *downward) Saw(b []byte) { (*conn)(d).comes(&d.down, b) }

// comes shows what p has read. If no stage is in its way, that is also what it
// will write.
func (c *conn) comes(p *pump, b []byte) {
	plain := !p.marked(c, pumpStaged)
	in := p.moved.In.Load()
	for _, t := range c.taps() {
		switch {
		case t.side == p.from(c):
			t.see(p.index(c), p.from(c), in, b)
		case plain:
			t.see(p.index(c), p.from(c), in-p.skew(c), b)
		}
	}
}

// leaves shows what came out of p's chain.
func (c *conn) leaves(p *pump, b []byte) {
	for _, t := range c.taps() {
		if t.side == p.to(c) {
			t.see(p.index(c), p.from(c), p.moved.Out.Load(), b)
		}
	}
}

// tapEnded shows the end of a direction.
func (c *conn) tapEnded(p *pump, err error) {
	how := "fin"
	switch {
	case p.clean(c, err):
	case wasCut(err):
		how = "cut"
	default:
		how = err.Error()
	}
	for _, t := range c.taps() {
		t.end(c, p, how)
	}
}

// errNoPlace is that the name of a place is none.
var errNoPlace = errors.New(`no side of the stages: want "plain", "wire", "client" or "upstream"`)

var places = [...]string{"plain", "wire", "client", "upstream"}

// String returns the place in a word.
func (p TapPlace) String() string { return places[p] }

// UnmarshalText reads what String writes.
func (p *TapPlace) UnmarshalText(text []byte) error {
	i := slices.Index(places[:], string(text))
	if i < 0 {
		return errNoPlace
	}
	*p = TapPlace(i)
	return nil
}
