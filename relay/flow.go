package relay

import (
	"maps"
	"sync"
	"time"

	"relayd/transform"
)

// What goes through each stage is counted by the stages' chain while it is open.
// When it is closed the conn keeps the figures, and the server the sums.

// A StageOf is a kind of stage in one direction.
type StageOf struct {
	Direction string // "up" or "down"
	Stage     string // its name, without its options
}

// StageBytes is what went through all stages of a kind.
type StageBytes struct {
	In, Out int64
	Last    time.Time // when one of them last gave some; zero if none ever has
}

// plus adds two sums.
func (n StageBytes) plus(m StageBytes) StageBytes {
	n.In, n.Out, n.Last = n.In+m.In, n.Out+m.Out, later(n.Last, m.Last)
	return n
}

// later returns the later one of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// flowLedger has the sums of the chains that are closed.
type flowLedger struct {
	mu    sync.Mutex
	sums  map[StageOf]StageBytes
	shown map[StageOf]StageBytes // a sum never falls
}

// addFlows adds what went through a chain to sums.
func addFlows(sums map[StageOf]StageBytes, direction string, flows []transform.Flow) {
	for _, f := range flows {
		key := StageOf{direction, f.Name}
		sums[key] = sums[key].plus(StageBytes{f.In, f.Out, f.Last})
	}
}

// add adds what went through a chain that is closed.
func (l *flowLedger) add(direction string, flows []transform.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sums == nil {
		l.sums = make(map[StageOf]StageBytes)
	}
	addFlows(l.sums, direction, flows)
}

// closed keeps what went through p's chain, which nobody cuts any more.
func (c *conn) chainClosed(p *pump, at *transform.Site) {
	flows := at.Flows()
	c.mu.Lock()
	x := c.unusual()
	x.sites[p.index(c)] = nil
	x.flows[p.index(c)] = flows
	c.mu.Unlock()
	c.server().ledger.flows.add(p.name(c), flows)
}

// flowsOf returns what has gone through each stage of p, if its chain is open or
// was. c.mu is held.
func (c *conn) flowsOf(p *pump) []transform.Flow {
	if c.rare == nil {
		return nil
	}
	if at := c.rare.sites[p.index(c)]; at != nil {
		return at.Flows()
	}
	return c.rare.flows[p.index(c)]
}

// stageBytes sums up. A chain that is closed meanwhile may be left out; the next sum
// has it right, and none is less than one before. None is too large, for that would
// show until as much had come: what is closed is summed up first, and a conn has let
// go of its chain before it is among that.
func (s *Server) stageBytes() map[StageOf]StageBytes {
	l := &s.ledger.flows
	l.mu.Lock()
	all := make(map[StageOf]StageBytes, len(l.sums))
	maps.Copy(all, l.sums)
	l.mu.Unlock()
	for _, c := range connKind.Below(&s.node) {
		c.mu.Lock()
		if c.rare != nil {
			for i, at := range c.rare.sites {
				if at != nil {
					addFlows(all, c.pumps()[i].name(c), at.Flows())
				}
			}
		}
		c.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, before := range l.shown {
		n := all[key]
		all[key] = StageBytes{max(n.In, before.In), max(n.Out, before.Out), later(n.Last, before.Last)}
	}
	l.shown = maps.Clone(all)
	return all
}
