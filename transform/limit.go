package transform

// The limit stage: no more than so many bytes in a second, by a token bucket.

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	perSecond = "/s"
	autoBurst = "auto"
	maxRate   = 1 << 40
	maxBurst  = 1 << 30
)

var limitDefinition = definition{
	Info: Info{
		Name:    "limit",
		Summary: "let no more than so many bytes pass in a second",
		Options: withChance(Option{
			Name:     "rate",
			Values:   amountDoc + ", from 1 to 1T, and /s or not: 1MiB/s",
			Doc:      "how many bytes pass in a second, once the burst is used up",
			Main:     true,
			Required: true,
			canon:    canonRate,
		}, Option{
			Name:    "burst",
			Default: autoBurst,
			Values:  amountDoc + ", from 1 to 1G; or auto, a tenth of a second's worth",
			Doc:     "how many bytes may pass at once after a silence, and at the beginning",
			canon:   canonBurst,
		}, Option{
			Name:    "scope",
			Default: "conn",
			Values:  "conn, source or route",
			Doc: "who shares the rate, of the streams that go through this stage as it stands in a route's list for one direction." +
				" conn: none, each has all of it; source: those of clients with the same IP address; route: all of them",
			canon: canonScope,
		}),
		Memory: "600 bytes; with scope=source 400 more for each source that has a stream, or has had one until its bucket was full again," +
			" of these no more than 4096",
		Example: "limit:1M/s,burst=64k",
		Notes: []string{
			"It is a token bucket: it holds burst tokens, is filled with rate of them in a second, and each byte takes one." +
				" What comes while there are enough goes on at once, and what comes then in pieces of a tenth of a second, or of a byte if that is longer." +
				" Streams that share a bucket take turns, and wait for each other's pieces.",
			"It counts the bytes that pass where it stands: before a stage that encodes, or behind one that decodes, those that the programs mean;" +
				" on the other side of it, those on the wire. With --wrap and --unwrap, --at wire puts it there.",
			"The two directions have a limit each, with buckets of their own; so have two routes. Clients of Unix sockets have no IP address, and are one source." +
				" A source that connects again finds its bucket as it has left it."},
	},
	build: buildLimit,
}

func buildLimit(values []string) opener {
	bytes := amountOf(strings.TrimSuffix(values[0], perSecond))
	tenth := max(1, min(bytes/10, maxBurst))
	burst := tenth
	if values[1] != autoBurst {
		burst = amountOf(values[1])
	}
	fresh := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(bytes), int(burst)) }
	open := func(src *source, bucket *rate.Limiter) *limit {
		return &limit{src: src, pause: newPause(src.site), bucket: bucket, piece: int(min(tenth, burst))}
	}
	chance := newChance(values)
	switch values[2] {
	case "source":
		buckets := newSourceBuckets(fresh)
		return chance.opener(func(src *source, _ *rand.Rand) io.ReadCloser {
			l := open(src, nil)
			l.join = func() {
				b := buckets.take(sourceOf(l.src.site.Client))
				l.bucket, l.leave = b.Limiter, func() { buckets.leave(b) }
			}
			l.join()
			return l
		})
	case "route":
		shared := fresh()
		fresh = func() *rate.Limiter { return shared }
	}
	return chance.opener(func(src *source, _ *rand.Rand) io.ReadCloser { return open(src, fresh()) })
}

func canonRate(value string) (string, error) {
	n, ok := parseAmount(strings.TrimSuffix(value, perSecond))
	if !ok || n < 1 || n > maxRate {
		return "", errors.New("want bytes per second, from 1/s to 1T/s, such as 1500/s, 64k/s or 1MiB/s")
	}
	return amount(n) + perSecond, nil
}

func canonBurst(value string) (string, error) {
	if value == autoBurst {
		return value, nil
	}
	return amounts(1, maxBurst)(value)
}

func canonScope(value string) (string, error) {
	switch value {
	case "conn", "source", "route":
		return value, nil
	}
	return "", errors.New("want conn, source or route")
}

// A limit takes a token for each byte, after it has read it: the end of a stream
// needs none, and a stream that waits for its source keeps hardly any from others.
type limit struct {
	src    *source
	pause  *pause
	bucket *rate.Limiter // perhaps also of others
	piece  int           // how much it takes at once that it must wait for
	paid   int           // tokens that Ready has taken, for the next bytes
	join   func()        // if not nil: gets the bucket, and leave
	leave  func()        // if not nil: gives the bucket back
}

func (l *limit) Read(p []byte) (int, error) {
	most := l.paid // Ready has said that this does not wait
	if most == 0 {
		most = max(l.piece, int(l.bucket.TokensAt(time.Now())))
	}
	n, err := l.src.Read(p[:min(len(p), most)])
	if n == 0 {
		return 0, err
	}
	if l.paid > 0 {
		l.paid -= n
		return n, nil
	}
	if err := l.pay(n); err != nil {
		return 0, err
	}
	return n, nil
}

// pay takes n tokens, and waits for them. What there was when the Read began may be
// another stream's by now: so what is not there at once is waited for in pieces,
// between which others have their turn.
func (l *limit) pay(n int) error {
	for n > 0 && !l.bucket.AllowN(time.Now(), n) {
		k := min(n, l.piece)
		if err := l.pause.wait(l.bucket.ReserveN(time.Now(), k).Delay()); err != nil {
			l.giveBack(k)
			return err
		}
		n -= k
	}
	return nil
}

// giveBack gives tokens back that were taken for nothing: others may share the bucket. A
// reservation of less than nothing is not refused, as that would be of AllowN, while
// they wait; and Cancel, which goes by the last reservation, does not know of it.
func (l *limit) giveBack(n int) { l.bucket.ReserveN(time.Now(), -n) }

// maxPaid is how many tokens one stream keeps from others, at most, for bytes that
// it has not read yet.
const maxPaid = 4 << 10

// Ready takes the tokens for what it promises, before another stream does.
func (l *limit) Ready() bool {
	if !l.src.Ready() || l.src.atEnd() || l.paid > 0 {
		return l.src.Ready()
	}
	now := time.Now()
	n := min(int(l.bucket.TokensAt(now)), maxPaid)
	if n < 1 || !l.bucket.AllowN(now, n) {
		return false
	}
	l.paid = n
	return true
}

// Wait is the source's.
func (l *limit) Wait(d time.Duration) bool { return l.src.Wait(d) }

// resume goes on with the bucket as it was left: a change of the chain is no silence.
func (l *limit) resume(src *source) {
	l.src, l.pause = src, newPause(src.site)
	if l.join != nil {
		l.join()
	}
}

// Close also gives back what Ready has taken for bytes that did not come.
func (l *limit) Close() error {
	if l.paid > 0 {
		l.giveBack(l.paid)
		l.paid = 0
	}
	if l.leave != nil {
		l.leave()
	}
	return nil
}
