package transform

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"

	"relayd/lifetime"
)

// A Site is where a chain is open, as far as its stages may know. Most need
// none of it: what a stage does to the bytes does not depend on it. A Site is for
// one chain.
type Site struct {
	Conn      string // the conn's id, for names of files and lines of the log
	Direction string // "up", from the client to the upstream, or "down"
	// Client and Upstream are the addresses of both sides, host:port where they
	// have such.
	Client, Upstream string
	// Log gets what stages have to say beside the bytes: a program's standard
	// error, a sum at the end. Nil discards. A stage must not say more than a
	// line for each event of its stream's life; what it says for each chunk is
	// its user's choice (hexdump). Each line has the keys id and direction.
	Log *slog.Logger
	// Owner is the resource whose children a stage's own resources become (a
	// program, a module's instance), so that a shutdown of the conn ends
	// them. Nil makes them roots.
	Owner *lifetime.Node
	// Dial connects a stage to an address, as relayd writes them; ctx bounds the
	// dialling, and the connection becomes a child of below. What it returns is
	// written to by one goroutine, and may be closed by another, and twice. Close
	// does not wait: what was written is finished, but a Write under way is
	// woken, and the connection broken off.
	// Nil: stages cannot connect to anything.
	Dial func(ctx context.Context, below *lifetime.Node, address string) (io.WriteCloser, error)

	// Past is the stream's, whose chain may be changed while it lives. Nil: the
	// stream has no other chain.
	Past *Past

	work *atWork // nil before the chain is open
}

// Cut ends whatever the chain's stages are waiting for, besides their source: a
// program that neither reads nor writes. Whoever makes the source of an open
// chain fail calls it, too, because such a stage may not be reading then. What
// was under way in a stage may be lost. Any goroutine may call it, at any time
// after [Chain.OpenAt], more than once.
func (s *Site) Cut() {
	if s.work != nil {
		s.work.cut()
	}
}

// Yield has the stages that hold the stream up, of the chain that is open here,
// let go. Whoever makes the source of an open chain end, so that another chain can
// go on, calls it, too. Any goroutine may, at any time after [Chain.OpenAt], more
// than once.
func (s *Site) Yield() {
	if s.work != nil {
		s.work.yield()
	}
}

// Ended reports whether each stage of the chain that is, or was, open here has come
// to the end of its source, and had use for all that came before it. Otherwise one
// has ended the stream of its own accord. It is for who reads the chain.
func (s *Site) Ended() bool {
	if s.work == nil {
		return true
	}
	s.work.mu.Lock()
	links := s.work.links
	s.work.mu.Unlock()
	for i := range links {
		if !links[i].src.ended.Load() {
			return false
		}
		if s, ok := links[i].stage.(interface{ Enough() bool }); ok && s.Enough() {
			return false
		}
	}
	return true
}

// OnCut has f called when the chain is cut or closed, which may be now. f must
// not wait. It is for stages.
func (s *Site) OnCut(f func()) {
	if s.work != nil {
		s.work.add(f)
	}
}

// An atWork is what an open chain is known by from outside.
type atWork struct {
	mu      sync.Mutex
	isCut   bool
	yields  bool
	cuts    []func()      // what a cut calls
	yielded chan struct{} // closed by a yield; nil if nobody waits for one
	links   []link
}

func (w *atWork) add(f func()) {
	w.mu.Lock()
	isCut := w.isCut
	if !isCut {
		w.cuts = append(w.cuts, f)
	}
	w.mu.Unlock()
	if isCut {
		f()
	}
}

func (w *atWork) cut() {
	w.mu.Lock()
	w.isCut = true
	cuts := slices.Clone(w.cuts)
	w.mu.Unlock()
	for _, f := range cuts {
		f()
	}
}

func (w *atWork) yield() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.yields && w.yielded != nil {
		close(w.yielded)
	}
	w.yields = true
}

// yielding returns a channel that is closed when the chain is to let go.
func (s *Site) yielding() <-chan struct{} {
	w := s.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.yielded == nil {
		w.yielded = make(chan struct{})
		if w.yields {
			close(w.yielded)
		}
	}
	return w.yielded
}

// nowhere is the site of a chain that was opened without one.
var nowhere = &Site{Log: slog.New(slog.DiscardHandler)}

// Say writes a line to the log, for stages outside this package.
func (s *Site) Say(level slog.Level, message string, args ...any) { s.say(level, message, args...) }

// say writes a line to the log.
func (s *Site) say(level slog.Level, message string, args ...any) {
	if s.Conn != "" {
		args = append([]any{"id", s.Conn, "direction", s.Direction}, args...)
	}
	s.Log.Log(context.Background(), level, message, args...)
}

// orNowhere makes a site that stages can use without asking.
func (s *Site) orNowhere() *Site {
	if s == nil {
		s = new(Site)
	}
	if s.work == nil {
		s.work = new(atWork)
	}
	if s.Log == nil {
		with := *s
		with.Log = nowhere.Log
		return &with
	}
	return s
}
