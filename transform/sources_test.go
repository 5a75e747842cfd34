package transform

// Buckets by source, by the clock of a bubble.

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

func TestSourceOf(t *testing.T) {
	for client, want := range map[string]string{
		"192.0.2.1:1":             "192.0.2.1",
		"[::ffff:192.0.2.1]:1":    "192.0.2.1",
		"[2001:db8::1]:1":         "2001:db8::1",
		"[fe80::1%eth0]:1":        "fe80::1",
		"192.0.2.1":               "192.0.2.1",
		"[2001:db8::1]":           "2001:db8::1",
		"/run/some.sock":          "",
		"@":                       "",
		"":                        "",
		"tcp://192.0.2.1:1":       "192.0.2.1",
		"tls://[2001:db8::1]:443": "2001:db8::1",
	} {
		if got := sourceOf(client); got != want {
			t.Errorf("%s: the source is %q, want %q", client, got, want)
		}
	}
}

// A source that has a stream has one bucket, and finds it again when it comes
// back too early; it is let go when it is full.
func TestSourceBucketsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSourceBuckets(func() *rate.Limiter { return rate.NewLimiter(10, 100) })
		one, same, other := s.take("a"), s.take("a"), s.take("b")
		if one != same || one == other {
			t.Error("a source has not one bucket of its own")
		}
		one.AllowN(time.Now(), 50)
		s.leave(one)
		s.leave(other)
		if len(s.of) != 1 {
			t.Errorf("%d buckets are kept, want that of the one that has a stream", len(s.of))
		}
		s.leave(same)
		<-time.After(4 * time.Second)
		if again := s.take("a"); again != one {
			t.Error("who comes again has another bucket")
		}
		s.leave(one)
		<-time.After(2 * time.Second)
		if again := s.take("a"); again == one {
			t.Error("a bucket that is full was kept")
		} else {
			s.leave(again)
		}
		if len(s.of) != 0 || len(s.idle) != 0 {
			t.Errorf("%d buckets are kept, %d idle", len(s.of), len(s.idle))
		}
	})
}

// However many sources come and go, few buckets are kept: those that lack most.
func TestSourceBucketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSourceBuckets(func() *rate.Limiter { return rate.NewLimiter(1, 1<<20) })
		for i := range 3 * maxIdleSources {
			b := s.take(fmt.Sprint(i))
			b.AllowN(time.Now(), 1+i)
			s.leave(b)
			if len(s.of) > maxIdleSources || len(s.of) != len(s.idle) {
				t.Fatalf("%d buckets are kept, %d idle", len(s.of), len(s.idle))
			}
		}
		if s.of["0"] != nil || s.of[fmt.Sprint(3*maxIdleSources-1)] == nil {
			t.Error("the wrong ones are kept")
		}
	})
}

// The bucket comes back also from a stage that never ran.
func TestSourceBucketsAreGivenBack(t *testing.T) {
	s, err := ParseStage("limit:1M/s,scope=source")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		at := &Site{Client: "192.0.2.1:1"}
		r := s.OpenAt(strings.NewReader("x"), at)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
