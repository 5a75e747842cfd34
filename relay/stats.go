package relay

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are what a server has done so far. What lives is not in here, except in
// Moved: see [Server.Conns].
type Stats struct {
	Accepted int64            // connections
	Refused  map[string]int64 // connections that became no conn, by reason; of all reasons
	Ended    map[End]int64    // conns
	// Moved counts bytes by where: of all conns, those that live too. It
	// never falls.
	Moved Traffic
	// Stages counts bytes by kind of stage, of all chains. It never falls.
	Stages    map[StageOf]StageBytes
	LostUp    int64 // bytes that were read from a client and not delivered
	LostDown  int64
	Truncated int64 // conns that have lost bytes
	Unlogged  int64 // lines about conns that the log was spared: see Config.LogRate

	Dial     Histogram // how long dialling took, when it succeeded
	Duration Histogram // how long conns lived
	Cut      Histogram // how long shutdowns took until all was released
}

// An End is how conns ended.
type End struct {
	Reason Reason
	First  Side // the first closer
}

// Traffic is bytes: from the client, to the upstream, and back. Without stages
// what comes in is what goes out.
type Traffic struct{ UpIn, UpOut, DownIn, DownOut int64 }

func (t *Traffic) add(o Traffic) {
	t.UpIn += o.UpIn
	t.UpOut += o.UpOut
	t.DownIn += o.DownIn
	t.DownOut += o.DownOut
}

// atLeast raises each figure to that of o.
func (t *Traffic) atLeast(o Traffic) {
	t.UpIn = max(t.UpIn, o.UpIn)
	t.UpOut = max(t.UpOut, o.UpOut)
	t.DownIn = max(t.DownIn, o.DownIn)
	t.DownOut = max(t.DownOut, o.DownOut)
}

// traffic is what c has moved.
func (c *conn) traffic() Traffic {
	return Traffic{c.up.moved.In.Load(), c.up.moved.Out.Load(), c.down.moved.In.Load(), c.down.moved.Out.Load()}
}

// A ledger is where a server keeps its Stats.
type ledger struct {
	accepted                  atomic.Int64
	refused                   [refusalCount]atomic.Int64
	ended                     [reasonCount][sideCount]atomic.Int64
	lostUp, lostDown, cutOff  atomic.Int64
	flows                     flowLedger
	dial, duration, shutdowns histogram

	mu    sync.Mutex
	moved Traffic // of conns that have ended
	shown Traffic // in Stats, before
}

// close adds a conn that has ended, whose lock is held.
func (l *ledger) close(c *conn) {
	l.ended[c.reason][c.first].Add(1)
	l.duration.add(c.began)
	up, down := c.up.lost(c), c.down.lost(c)
	if up+down > 0 {
		l.lostUp.Add(up)
		l.lostDown.Add(down)
		l.cutOff.Add(1)
	}
	l.mu.Lock()
	l.moved.add(c.traffic())
	l.mu.Unlock()
}

// Stats returns what the server has done so far. It takes about as long as
// Conns.
func (s *Server) Stats() Stats {
	l := &s.ledger
	st := Stats{
		Accepted:  l.accepted.Load(),
		Refused:   make(map[string]int64),
		Ended:     make(map[End]int64),
		LostUp:    l.lostUp.Load(),
		LostDown:  l.lostDown.Load(),
		Truncated: l.cutOff.Load(),
		Unlogged:  s.book.leftOut.Load(),
		Dial:      l.dial.snapshot(),
		Duration:  l.duration.snapshot(),
		Cut:       l.shutdowns.snapshot(),
	}
	for why := admitted + 1; why < refusalCount; why++ {
		st.Refused[refusals[why]] = l.refused[why].Load()
	}
	for r := range l.ended {
		for side := range l.ended[r] {
			if n := l.ended[r][side].Load(); n > 0 {
				st.Ended[End{Reason(r), Side(side)}] = n
			}
		}
	}
	st.Moved, st.Stages = s.moved(), s.stageBytes()
	return st
}

// moved sums up. A conn that ends meanwhile may be left out; the next sum has it
// right, and none is less than one before. None is too large, for that would show
// until as much had been moved: what has ended is summed up first, and a conn is
// over before it is among that.
func (s *Server) moved() Traffic {
	l := &s.ledger
	l.mu.Lock()
	t := l.moved
	l.mu.Unlock()
	for _, c := range connKind.Below(&s.node) {
		if n := c.traffic(); c.bits.Load()&isOver == 0 {
			t.add(n)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.atLeast(l.shown)
	l.shown = t
	return t
}

// A Histogram counts times by how long they are. Bucket k holds those up to
// 2^(k/4) seconds, and longer than those of bucket k-1: the layout of a
// Prometheus native histogram of schema 2.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets map[int]uint64
}

// The buckets that there are: from a microsecond to twelve days. What is shorter
// or longer is in the first or last one.
const (
	histogramSchema = 2
	firstBucket     = -20 << histogramSchema
	lastBucket      = 20 << histogramSchema
)

type histogram struct {
	sum     atomic.Int64
	buckets [lastBucket - firstBucket + 1]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	k := int(math.Ceil(math.Log2(d.Seconds()) * (1 << histogramSchema)))
	if d <= 0 {
		k = firstBucket
	}
	h.buckets[min(max(k, firstBucket), lastBucket)-firstBucket].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) snapshot() Histogram {
	s := Histogram{Sum: time.Duration(h.sum.Load()), Buckets: make(map[int]uint64)}
	for i := range h.buckets {
		if n := h.buckets[i].Load(); n > 0 {
			s.Buckets[i+firstBucket] = n
			s.Count += n
		}
	}
	return s
}
