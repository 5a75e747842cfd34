package socket

// A Watcher sees the bytes that a read half reads, beside whoever reads them.
type Watcher interface {
	// Saw is called with bytes before they go anywhere, in their order, on the
	// goroutine that reads, which may be an event loop: it must not wait. The
	// bytes are not its own, and change when it has returned.
	Saw(b []byte)
}

// Watch makes w see what is read from now on, by Read or by a copy on a
// goroutine or a loop; nil makes nobody. What was read before and is still on its
// way, and what is thrown away after a drop, is not seen. One more call of the
// watcher before may be under way. Watched bytes are not spliced.
func (r *ReadHalf) Watch(w Watcher) {
	if w == nil {
		if x := r.socket().rare.Load(); x != nil {
			x.watch.Store(nil)
		}
		return
	}
	r.socket().unusual().watch.Store(&w)
}

// watcher returns who sees what is read, or nil.
func (r *ReadHalf) watcher() Watcher {
	if x := r.socket().rare.Load(); x != nil {
		if w := x.watch.Load(); w != nil {
			return *w
		}
	}
	return nil
}

// saw shows what was read.
func (r *ReadHalf) saw(b []byte) {
	if w := r.watcher(); w != nil {
		w.Saw(b)
	}
}
