package socket

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// vacated are the TCP ports on which listeners of this process were closed, and
// when. Such a port may not be free yet: a program that is being started has a copy
// of every descriptor, also of those that are closed meanwhile, until the system
// has executed it (close-on-exec, execve(2)). Our copy alone is closed, since
// another process may have one to keep; see [Listener.Drop].
var vacated struct {
	mu    sync.Mutex
	ports map[uint16]time.Time
}

// vacatedTime is how long a port counts as vacated. On a machine with thirty
// runnable threads for each core copies were there for some 10ms.
const vacatedTime = time.Second

// vacate notes that a listener is closed.
func vacate(port uint16) {
	vacated.mu.Lock()
	defer vacated.mu.Unlock()
	now := time.Now()
	for p, at := range vacated.ports {
		if now.Sub(at) > vacatedTime {
			delete(vacated.ports, p)
		}
	}
	if vacated.ports == nil {
		vacated.ports = make(map[uint16]time.Time)
	}
	vacated.ports[port] = now
}

// untilFree returns until when a port may be in use by copies of our own.
func untilFree(port uint16) time.Time {
	vacated.mu.Lock()
	defer vacated.mu.Unlock()
	at, ok := vacated.ports[port]
	if !ok {
		return time.Time{}
	}
	return at.Add(vacatedTime)
}

// bind listens at a's address, which one of our own listeners may just have left.
func bind(ctx context.Context, lc *net.ListenConfig, a Address) (net.Listener, error) {
	const pause = time.Millisecond
	for {
		ln, err := lc.Listen(ctx, a.network(), a.address())
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(untilFree(a.Port)) {
			return ln, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}
