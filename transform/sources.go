package transform

// Buckets by source: all streams of clients at one IP address share one.

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxIdleSources bounds the buckets that are kept for sources with no stream.
const maxIdleSources = 4096

// sourceBuckets are those of one limit. There is one for each source that has a
// stream. When its last stream ends, a bucket is kept until it is full again,
// when it is as good as a new one: so nobody gets more by connecting again. Of
// those that are kept, the one that is full first goes when there are too many.
type sourceBuckets struct {
	fresh func() *rate.Limiter

	mu   sync.Mutex
	of   map[string]*sourceBucket
	idle idleBuckets
}

type sourceBucket struct {
	*rate.Limiter
	source  string
	streams int       // how many have it
	full    time.Time // if there are none: when it will be full again
	at      int       // and its place among the idle ones
}

func newSourceBuckets(fresh func() *rate.Limiter) *sourceBuckets {
	return &sourceBuckets{fresh: fresh, of: make(map[string]*sourceBucket)}
}

// take returns the bucket of a source. The caller owes a leave.
func (s *sourceBuckets) take(source string) *sourceBucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	b := s.of[source]
	switch {
	case b == nil:
		b = &sourceBucket{Limiter: s.fresh(), source: source}
		s.of[source] = b
	case b.streams == 0:
		s.idle.remove(b)
	}
	b.streams++
	return b
}

// leave says that a stream has ended that has taken b.
func (s *sourceBuckets) leave(b *sourceBucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if b.streams--; b.streams == 0 {
		missing := float64(b.Burst()) - b.TokensAt(now)
		b.full = now.Add(seconds(missing / float64(b.Limit())))
		s.idle.add(b)
	}
	s.sweep(now)
}

// sweep lets go of idle buckets that are full, or too many. s.mu is held.
func (s *sourceBuckets) sweep(now time.Time) {
	for len(s.idle) > 0 && (len(s.idle) > maxIdleSources || !s.idle[0].full.After(now)) {
		b := s.idle[0]
		s.idle.remove(b)
		delete(s.of, b.source)
	}
}

// seconds returns so many, but no more than a year.
func seconds(s float64) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(min(s*float64(time.Second), float64(year)))
}

// sourceOf returns what stands for the source of a client's address: its IP
// address, without the port, the zone and the clothes of IPv6. Clients that have
// none, such as those of a Unix socket, are one source.
func sourceOf(client string) string {
	if _, rest, ok := strings.Cut(client, "://"); ok {
		client = rest
	}
	if at, err := netip.ParseAddrPort(client); err == nil {
		return at.Addr().Unmap().WithZone("").String()
	}
	if at, err := netip.ParseAddr(strings.Trim(client, "[]")); err == nil {
		return at.Unmap().WithZone("").String()
	}
	return ""
}
