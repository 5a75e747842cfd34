package admin

import (
	"context"
	"net/http"
	"time"
)

// How many requests are under way at once is bounded for each listener, so that
// watchers keep no admin out; and apart from the others for those whose answers go
// on, which may well be there to stay, and for profiles. Who comes in addition waits
// a little, in which those who do not take their answers make room, and then gets a
// 503; for answers that go on at once.
const (
	maxRequests = 32
	maxStreams  = 16
)

const (
	// roomTime is how long a request waits for a slot.
	roomTime = 2 * time.Second
	// stuckTime is for how long a Write waits that waits for its reader: one that
	// has just begun may wait for nothing but a processor.
	stuckTime = 250 * time.Millisecond
	// stuckEvery is how often who waits looks for such Writes.
	stuckEvery = 50 * time.Millisecond
)

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
	entered := l.enter(r.Context(), room, !long)
	r.to.SetWriteDeadline(time.Now().Add(r.writeTime)) // the wait is not the client's
	if !entered {
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

// enter waits for room, if it is to, and reports whether there was.
func (l *listener) enter(ctx context.Context, room chan<- struct{}, wait bool) bool {
	select {
	case room <- struct{}{}:
		return true
	default:
	}
	if !wait {
		return false
	}
	over := time.NewTimer(roomTime)
	defer over.Stop()
	again := time.NewTicker(stuckEvery)
	defer again.Stop()
	for {
		l.cutStuck()
		select {
		case room <- struct{}{}:
			return true
		case <-again.C:
		case <-over.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
