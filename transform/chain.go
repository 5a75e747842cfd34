package transform

// A Chain has no text form of its own in a config: there it is a list of
// stages, which MarshalText would take away. ParseChain and String serve the
// command line and the log.

import (
	"io"
	"slices"
	"strings"
)

// Chain is stages in the order in which the bytes meet them.
type Chain []Stage

// Open puts the chain on src. The caller reads r and, when it is done with
// it, calls close; both on one goroutine.
//
// The empty chain returns src itself, so that the caller still sees its
// concrete type, and whatever else that type can do (splice). With at least one
// stage r is a [Readier] and a [Waiter] and nothing more; in particular it is no
// io.Closer, which r of an empty chain may well be. Stages that act with some
// probability only, and do not act on this stream, are not in it: if no other
// stage is left, r is src, too.
//
// close is never nil. It cuts what the stages wait for, and closes them from the
// last to the first, so that none is still reading one that was closed: all of
// them, whatever each of them returns or panics with. It returns the first
// error. It does not close src. It may be called twice, and then returns the
// same again.
func (c Chain) Open(src io.Reader) (r io.Reader, close func() error) { return c.OpenAt(src, nil) }

// OpenAt is Open for stages that may know where they are; nil is nowhere.
func (c Chain) OpenAt(src io.Reader, at *Site) (r io.Reader, close func() error) {
	if len(c) == 0 {
		return src, closeNothing
	}
	o := &openChain{at: at.orNowhere(), links: make([]link, len(c))}
	n := 0
	for _, stage := range c {
		l := &o.links[n]
		l.start(stage, src, o.at)
		if _, out := l.stage.(leftOut); out {
			continue
		}
		src = l
		n++
	}
	o.links = o.links[:n]
	o.at.forget()
	o.at.work.opened(o.links)
	return src, o.close
}

func closeNothing() error { return nil }

// An openChain is a chain at work.
type openChain struct {
	at    *Site
	links []link
}

func (o *openChain) close() (first error) {
	o.at.work.cut()
	for i := len(o.links) - 1; i >= 0; i-- {
		if err := o.links[i].close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Inverse returns the chain that undoes c: the inverses of its stages, last
// one first. It fails if one of the stages has none.
func (c Chain) Inverse() (Chain, error) {
	inverse := make(Chain, len(c))
	for i, s := range c {
		undo, err := s.Inverse()
		if err != nil {
			return nil, err
		}
		inverse[len(c)-1-i] = undo
	}
	return inverse, nil
}

// Same reports whether two chains have the same stages, whatever they are shown as.
func (c Chain) Same(d Chain) bool { return slices.EqualFunc(c, d, Stage.Same) }

// String returns the stages' texts with commas between them, as [ParseChain]
// reads them. The empty chain is the empty string.
func (c Chain) String() string {
	var b strings.Builder
	for i, s := range c {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}
