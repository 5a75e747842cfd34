package socket

import (
	"context"
	"sync/atomic"
	"time"

	"relayd/lifetime"
)

// A Socket owns one connection. It is made by [Incoming.Open] or [Dial]. A relay
// has two for each connection, most of them idle: what few ever need is apart.
type Socket struct {
	node  lifetime.Node
	t     transport
	k     kernelTransport // t, if a loop made it
	r     ReadHalf
	w     WriteHalf
	rare  atomic.Pointer[rare]
	marks marks
}

// A rare is what few sockets ever need.
type rare struct {
	fatal                 errorOnce    // sticky: what ended the connection, other than a FIN
	readWoken, writeWoken errorOnce    // why operations were interrupted
	discarded             atomic.Int64 // bytes thrown away for a read half that was dropped
	proof                 proof        // of a shutdown
	yielding              yielding
	watch                 atomic.Pointer[Watcher]
	preface               atomic.Pointer[preface] // while one is read
	given                 pushback                // what one has given back
	linger                *lingering              // nil: the defaults
}

// unusual returns the rare part, which it makes if there is none.
func (s *Socket) unusual() *rare {
	if s.rare.Load() == nil {
		s.rare.CompareAndSwap(nil, new(rare))
	}
	return s.rare.Load()
}

// failure returns what ended the connection, or nil.
func (s *Socket) failure() error {
	if x := s.rare.Load(); x != nil {
		return x.fatal.get()
	}
	return nil
}

// The marks are what has happened to a socket, a bit each.
type marks struct{ v atomic.Uint32 }

const (
	readTaken  = 1 << iota // the read half was handed out
	writeTaken             // the write half was
	sawEOF                 // the peer's FIN was read
	finSent                // our FIN is out, or left to the close
	noDiscard              // discarding what the peer still sends is over
	writeCut               // a Write was woken before its end
	dropStops              // the DropMode, if it is not the default
	dropResets
	yieldAsked // the copy from the read half is to let go
	brokenOff  // by us, before both halves were through
)

// has reports whether any of the bits is set.
func (m *marks) has(bits uint32) bool { return m.v.Load()&bits != 0 }

// set sets a bit, and reports whether it was not set before.
func (m *marks) set(bit uint32) bool { return m.v.Or(bit)&bit == 0 }

func (m *marks) clear(bits uint32) { m.v.And(^bits) }

// At says where in the tree a new socket stands. The zero At makes a root with
// the refcount policy.
type At struct {
	Parent *lifetime.Node  // nil for a root
	Place  Place           // the zero Place is "socket"
	Policy lifetime.Policy // of the socket and of its halves
	In     *Socket         // where to build it; nil allocates
	// Stderr gets the lines that the program of an exec: address writes to its
	// standard error; see [process.Command]. Nil discards them.
	Stderr func(line string)
	// Linger is how long the socket drains without progress, and MaxLinger how
	// long in all. Zero means 2s and 15m; negative not at all, and no bound.
	// Values other than the defaults cost each socket some memory.
	Linger, MaxLinger time.Duration
}

// A Place is the name that a socket goes by below its parent.
type Place struct{ kind *lifetime.Kind[Socket] }

// NewPlace returns a place, for use at package level.
func NewPlace(name string) Place {
	k := socketKind.Named(name)
	return Place{&k}
}

var socketKind = lifetime.NewKind(lifetime.Hooks[Socket]{
	Name:         "socket",
	Interrupt:    (*Socket).interrupt,
	Owed:         (*Socket).owed,
	Drain:        (*Socket).drain,
	DrainTimeout: -1, // it watches progress
	Release:      (*Socket).release,
})

// open puts a connection into the tree. Whatever fails, t is taken care of.
func open(t transport, at At) (*Socket, error) {
	s := at.In
	if s == nil {
		s = new(Socket)
	}
	kind := &socketKind
	if at.Place.kind != nil {
		kind = at.Place.kind
	}
	s.t = t
	if l := at.lingering(); l != nil {
		s.unusual().linger = l
	}
	if err := kind.Init(s, at.Parent, at.Policy); err != nil {
		t.disconnect()
		t.Close()
		return nil, err
	}
	return s, nil
}

// Receive hands out the read half, once: then it returns
// [lifetime.ErrTaken]. On a socket that was dropped it returns
// [lifetime.ErrDropped]. It fails while a [Socket.Preface] runs.
func (s *Socket) Receive() (*ReadHalf, error) {
	if x := s.rare.Load(); x != nil && x.preface.Load() != nil {
		return nil, s.error("receive", errPrefacing)
	}
	if err := readKind.Init(&s.r, &s.node, s.node.Policy()); err != nil {
		return nil, s.error("receive", err)
	}
	s.marks.set(readTaken)
	return &s.r, nil
}

// Send hands out the write half, once, as Receive does the read half.
func (s *Socket) Send() (*WriteHalf, error) {
	if err := writeKind.Init(&s.w, &s.node, s.node.Policy()); err != nil {
		return nil, s.error("send", err)
	}
	s.marks.set(writeTaken)
	return &s.w, nil
}

// Taken returns the halves that were handed out, nil for one that was not.
func (s *Socket) Taken() (r *ReadHalf, w *WriteHalf) {
	if s.marks.has(readTaken) {
		r = &s.r
	}
	if s.marks.has(writeTaken) {
		w = &s.w
	}
	return r, w
}

// Resource returns the socket's place in the tree: its name, its state, its
// holders, and Done, which is closed after the connection is.
func (s *Socket) Resource() *lifetime.Node { return &s.node }

// Drop gives the socket up; what becomes of halves that live is the policy's
// word, see [lifetime.Node.Drop]. It sends nothing: the write half's drop does.
// A socket whose write half was never taken sends FIN when it drains.
func (s *Socket) Drop(ctx context.Context) (lifetime.Left, error) { return s.node.Drop(ctx) }

// Find returns the socket whose resource has this id, wherever it stands, also
// when nobody but a forgotten half holds it: [Socket.Shutdown] ends it.
func Find(id uint64) (*Socket, bool) {
	return socketKind.Of((*lifetime.Node)(nil).Find(id))
}

// OnLoop reports whether an event loop waits for the connection, for now.
func (s *Socket) OnLoop() bool {
	t, ok := s.t.(*kernelTransport)
	return ok && t.loop.Load() != nil
}

// Unsent returns how many bytes were written and are not acknowledged by the peer
// (SIOCOUTQ, tcp(7)) or, of a Unix socket, not read by it. It is 0 where the
// system cannot tell, and after the close.
func (s *Socket) Unsent() int { return s.t.unsent() }

// LocalAddr returns our address, "" where the kind has none.
func (s *Socket) LocalAddr() string { return s.t.LocalAddr().String() }

// RemoteAddr returns the peer's address, "" where the kind has none.
func (s *Socket) RemoteAddr() string { return s.t.RemoteAddr().String() }

// error adds the operation and the addresses.
func (s *Socket) error(op string, err error) error {
	return &Error{Op: op, Local: s.LocalAddr(), Remote: s.RemoteAddr(), Err: err}
}

// fail records what ended the connection. The first error counts, and it is
// stored before any operation returns it: the kernel reports a reset once, to
// whichever half meets it first, and the other must not take its silence for
// an end.
func (s *Socket) fail(err error) error {
	fatal := &s.unusual().fatal
	if fatal.set(err) {
		s.node.Ended(lifetime.Failed, err)
	}
	return fatal.get()
}

// abort ends the connection with a reset: the stream that we sent lacks its
// tail, or what the peer still sends is refused.
func (s *Socket) abort(why error) {
	s.fail(why)
	s.breakOff()
}

// breakOff ends the connection, of which a read may make an end.
func (s *Socket) breakOff() {
	s.marks.set(brokenOff)
	s.t.disconnect()
}

// finish sends FIN, unless the connection ended otherwise.
func (s *Socket) finish() {
	if s.failure() == nil && s.marks.set(finSent) && !s.closes() {
		s.t.CloseWrite()
	}
}

// closes reports whether the close is about to follow, and is the FIN: the peer
// has finished, nobody else holds the socket, and no copy of its descriptor was
// ever given to us or by us.
func (s *Socket) closes() bool {
	return s.t == transport(&s.k) && s.marks.has(sawEOF) && s.node.End() == lifetime.Dropped &&
		s.r.node.State() == lifetime.Released
}

// release closes the connection: with a reset, if it was forced.
func (s *Socket) release() {
	if s.node.State() != lifetime.Draining || s.failure() != nil {
		s.t.disconnect()
	}
	s.t.Close()
}

// An errorOnce keeps the first error.
type errorOnce struct{ v atomic.Pointer[error] }

// set reports whether err is the first.
func (o *errorOnce) set(err error) bool { return o.v.CompareAndSwap(nil, &err) }

func (o *errorOnce) get() error {
	if p := o.v.Load(); p != nil {
		return *p
	}
	return nil
}
