package admin

import (
	"context"
	"net/http"
	"time"
)

// How many requests are under way at once is bounded for each listener, so that
// watchers keep no admin out; and apart from the others for those whose answers go
// on, which may well be there to stay, and for profiles. Who comes in addition gets
// a 503, unless somebody does not take his answer: he then makes room.
const (
	maxRequests = 32
	maxStreams  = 16
)

// roomTime is how long somebody who was cut has to leave his slot.
const roomTime = time.Second

// slots are those of a listener: what they hold are requests under way.
type slots struct {
	requests, streams chan struct{}
}

func newSlots() slots {
	return slots{make(chan struct{}, maxRequests), make(chan struct{}, maxStreams)}
}

// take takes a slot for a request of a peer, and returns what gives it back.
func (l *listener) take(r *request, long bool) (leave func(), err error) {
	room := l.slots.requests
	if long {
		room = l.slots.streams
	}
	if !l.enter(r.Context(), room, !long) {
		r.w.Header().Set("Retry-After", "1")
		return nil, fail(http.StatusServiceUnavailable, "busy", "%d requests of the kind are under way, which is the most", cap(room))
	}
	c, ok := r.Context().Value(peerKey{}).(*peer)
	if ok {
		c.asks(true, long)
	}
	return func() {
		if ok {
			c.asks(false, false)
		}
		<-room
	}, nil
}

// enter waits for room if it can be had, and reports whether it was.
func (l *listener) enter(ctx context.Context, room chan<- struct{}, cut bool) bool {
	select {
	case room <- struct{}{}:
		return true
	default:
	}
	if !cut || !l.cutStuck() {
		return false
	}
	timer := time.NewTimer(roomTime)
	defer timer.Stop()
	select {
	case room <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
