package socket

import (
	"sync"
	"time"
)

// past is a deadline that has expired: it wakes an operation, and fails the
// next one too.
var past = time.Unix(1, 0)

// deadlines lets two share a connection's deadlines: the user, who sets them,
// and the lifetime of a half, which expires them for good. The second wins.
type deadlines struct {
	mu          sync.Mutex
	read, write bool // expired for good
}

// set is the user's.
func (d *deadlines) set(expired *bool, set func(time.Time) error, to time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if *expired {
		return nil
	}
	return set(to)
}

// expire wakes operations, and fails all later ones.
func (d *deadlines) expire(expired *bool, set func(time.Time) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*expired = true
	set(past)
}

// expired reports whether a direction's operations fail for good.
func (d *deadlines) expired(expired *bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *expired
}

// resume takes an expire back.
func (d *deadlines) resume(expired *bool, set func(time.Time) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*expired = false
	set(time.Time{})
}
