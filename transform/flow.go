package transform

import "time"

// A Flow is what has gone through one stage of a chain.
type Flow struct {
	Name    string    // the stage's
	Stage   string    // as it is written
	In, Out int64     // bytes that it has taken, and given
	Last    time.Time // when it last gave some; zero if it never has
}

// epoch is when the clock of the links began.
var epoch = time.Now()

// opened notes the stages of the chain.
func (w *atWork) opened(links []link) {
	w.mu.Lock()
	w.links = links
	w.mu.Unlock()
}

// Flows tells what has gone through each stage of the chain that is, or was, open
// here, in its order. Any goroutine may call it, at any time.
func (s *Site) Flows() []Flow {
	if s.work == nil {
		return nil
	}
	s.work.mu.Lock()
	links := s.work.links
	s.work.mu.Unlock()
	flows := make([]Flow, len(links))
	for i := range links {
		l := &links[i]
		flows[i] = Flow{Name: l.name, Stage: l.text, In: l.src.n.Load(), Out: l.out.Load()}
		if at := l.last.Load(); at != 0 {
			flows[i].Last = epoch.Add(time.Duration(at))
		}
	}
	return flows
}
