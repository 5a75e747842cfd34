package transform

import (
	"io"
	"math/rand/v2"
	"slices"
)

// A Past is what the stages of a stream remember when its chain is changed, from
// one chain to the next: whether those act that do so with some probability, and
// how far they are. A stage that is not in the next chain is forgotten. The zero Past is that of a new stream. A stage is known by
// its Stage value, and copies of it: parsed again it is another one. One chain
// has it at a time.
type Past struct {
	fates []*fate
}

// A fate is what chance has decided for one stream.
type fate struct {
	by     *chance
	at     *atWork    // the chain that has it; a stage may be in one twice
	random *rand.Rand // the stream's, for all that comes
	acts   bool
	stage  resumer // nil if it does not act, or has nothing to remember
}

// A resumer is a stage whose state is its stream's, and not its chain's.
type resumer interface {
	io.ReadCloser
	// resume goes on, in another chain. The stage was closed.
	resume(src *source)
}

// forget lets go of the stages that are not in the chain that was opened.
func (s *Site) forget() {
	if s.Past != nil {
		s.Past.fates = slices.DeleteFunc(s.Past.fates, func(f *fate) bool { return f.at != s.work })
	}
}

// fate returns the fate by a chance of a stage that is opened at the site. It is
// drawn if the stream has none yet, or keeps no Past.
func (s *Site) fate(c *chance) *fate {
	if s.Past == nil {
		return c.draw()
	}
	for _, f := range s.Past.fates {
		if f.by == c && f.at != s.work {
			f.at = s.work
			return f
		}
	}
	f := c.draw()
	f.at = s.work
	s.Past.fates = append(s.Past.fates, f)
	return f
}
