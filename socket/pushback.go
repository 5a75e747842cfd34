package socket

import "sync/atomic"

// A pushback is what was read off a connection and given back: the first that
// is read next. The zero pushback is empty.
type pushback struct{ v atomic.Pointer[[]byte] } // never to an empty slice

// give puts b before what is there. b is the pushback's from then on.
func (u *pushback) give(b []byte) {
	if len(b) == 0 {
		return
	}
	for {
		old, all := u.v.Load(), b
		if old != nil {
			all = append(append(make([]byte, 0, len(b)+len(*old)), b...), *old...)
		}
		if u.v.CompareAndSwap(old, &all) {
			return
		}
	}
}

// take moves bytes to p, and returns how many: 0 if there are none.
func (u *pushback) take(p []byte) int {
	for {
		old := u.v.Load()
		if old == nil {
			return 0
		}
		n := copy(p, *old)
		var rest *[]byte
		if left := (*old)[n:]; len(left) > 0 {
			rest = &left
		}
		if u.v.CompareAndSwap(old, rest) {
			return n
		}
	}
}

// drop throws away what is there, and returns how much that was.
func (u *pushback) drop() int {
	if old := u.v.Swap(nil); old != nil {
		return len(*old)
	}
	return 0
}

// len returns how much is there.
func (u *pushback) len() int {
	if old := u.v.Load(); old != nil {
		return len(*old)
	}
	return 0
}

// given returns what was given back to the socket, or nil if nothing ever was.
func (s *Socket) given() *pushback {
	if x := s.rare.Load(); x != nil {
		return &x.given
	}
	return nil
}

// again moves bytes to p that were given back, and returns how many. For whoever
// reads they are new: they were neither counted nor seen by a [Watcher].
func (r *ReadHalf) again(p []byte) int {
	u := r.socket().given()
	if u == nil {
		return 0
	}
	n := u.take(p)
	if n > 0 {
		r.saw(p[:n])
	}
	return n
}

// hasAgain reports whether again would return any.
func (r *ReadHalf) hasAgain() bool {
	u := r.socket().given()
	return u != nil && u.len() > 0
}

// again takes what was given back, if anything was, as a pull.
func (c *copying) again() bool {
	if !c.src.hasAgain() {
		return false
	}
	b := buffers.get()
	c.n = c.src.again(b[:])
	c.m.buf, c.m.from, c.m.to, c.m.owned = b, 0, int32(c.n), true
	if c.n == 0 {
		c.m.empty()
	}
	return c.n > 0
}

// again is the same on a loop.
func (f *flow) again(l *Loop) bool {
	n := f.half().again(l.scratch[:])
	if n > 0 {
		f.m.buf, f.m.from, f.m.to = &l.scratch, 0, int32(n)
		f.done.Progress().In.Add(int64(n))
	}
	return n > 0
}
