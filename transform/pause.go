package transform

import (
	"sync"
	"time"

	"relayd/transform/internal/filter"
)

// A pause is where a stage waits that holds bytes back for a time. It belongs to
// whoever reads the stage. A cut ends it, for good.
type pause struct {
	site *Site
	once sync.Once
	cut  chan struct{} // closed by the cut
}

func newPause(site *Site) *pause {
	p := &pause{site: site, cut: make(chan struct{})}
	site.OnCut(p.end)
	return p
}

func (p *pause) end() { p.once.Do(func() { close(p.cut) }) }

// wait waits for d. It fails if the chain is cut before.
func (p *pause) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.cut:
		return filter.ErrCut
	}
}

// waitOrYield is wait that ends, too, when the chain is to let go. It reports
// whether that is so.
func (p *pause) waitOrYield(d time.Duration) (yielded bool, err error) {
	if d <= 0 {
		return false, nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false, nil
	case <-p.site.yielding():
		return true, nil
	case <-p.cut:
		return false, filter.ErrCut
	}
}
