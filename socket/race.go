package socket

import (
	"context"
	"errors"
	"time"
)

// A Lap is what became of one of the dials of a [Race].
type Lap struct {
	Ran  bool
	Err  error         // nil: it won
	Took time.Duration // from its own beginning
}

// ErrOutrun ends a dial when the other one of a [Race] has won.
var ErrOutrun = errors.New("another address was faster")

// Race dials with first and, when that has not connected after a head start, or
// has failed before, asks for a second dialer and dials with that as well, if it
// is not nil. The first connection wins, and the other dial is over when Race
// returns. It is RFC 8305 for two addresses, those of a host in both families.
// Neither may be of the kind exec.
//
// The error is that of the first, if both fail.
func Race(ctx context.Context, at At, first *Dialer, headStart time.Duration, second func() *Dialer) (*Socket, [2]Lap, error) {
	r := race{ended: make(chan lap, 2)}
	defer r.underway.over()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	r.start(inner, first)
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	late := timer.C
	var won transport
	for r.running > 0 {
		select {
		case <-late:
		case l := <-r.ended:
			won = r.over(l, won, cancel)
		}
		if late != nil && won == nil && ctx.Err() == nil {
			late = nil
			r.start(inner, second())
		}
	}
	if won == nil {
		return nil, r.laps, r.laps[0].Err
	}
	s, err := open(won, at)
	return s, r.laps, err
}

// A race is the state of one. Each of its dials has a goroutine, which has left
// when running is 0.
type race struct {
	ended   chan lap
	laps    [2]Lap
	dialers [2]*Dialer
	running int
	next    int

	underway underway // of both
}

// A lap is the end of a dial.
type lap struct {
	i    int
	t    transport
	err  error
	took time.Duration
}

// start begins the next dial.
func (r *race) start(ctx context.Context, d *Dialer) {
	if d == nil {
		return
	}
	r.dialers[r.next] = d
	r.laps[r.next].Ran = true
	go r.run(ctx, r.next, d)
	r.next++
	r.running++
}

func (r *race) run(ctx context.Context, i int, d *Dialer) {
	began := time.Now()
	t, err := d.connect(ctx, &r.underway)
	r.ended <- lap{i, t, err, time.Since(began)}
}

// over notes the end of a dial, and returns what has won so far.
func (r *race) over(l lap, won transport, cancel context.CancelFunc) transport {
	r.running--
	to := &r.laps[l.i]
	to.Took = l.took
	switch {
	case won != nil:
		if l.err == nil {
			l.t.Close()
		}
		to.Err = r.dialers[l.i].error(ErrOutrun)
	case l.err != nil:
		to.Err = r.dialers[l.i].error(l.err)
	default:
		won = l.t
		cancel()
	}
	return won
}
