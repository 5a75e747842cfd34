// A load is what one process asks of a relay, and how that went.

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// A job says what a load shall do.
type job struct {
	Kind     string // a key of loads
	Addr     netip.AddrPort
	Conns    int           // at a time
	Size     int           // of a message
	Openers  int           // how many connections are opened at a time, 0 for all
	Warm     time.Duration // before it counts
	Measure  time.Duration
	Patience time.Duration // after which a connection has failed
}

// A tally is what a load counted.
type tally struct {
	Ops      int64
	Bytes    int64 // one way
	Elapsed  time.Duration
	P50, P99 time.Duration // of an op
}

// The steps of a load, as it reports them. Between two it waits for a line from
// bench, which reads the relay's counters meanwhile.
const (
	stepReady    = "ready"    // all is open and warm
	stepMeasured = "measured" // with a tally
	stepEnded    = "ended"    // FINs sent, reports verified
	stepFailed   = "failed"   // with the reason
)

// A step is one line of what a load says.
type step struct {
	Step   string
	Tally  tally
	Reason string
}

// A load is one kind of load, in its steps. What it opened is closed with its
// process.
type load interface {
	prepare() error
	measure() (tally, error)
	end() error
}

var loads = map[string]func(job) load{
	"send":    func(j job) load { return &bulk{job: j} },
	"receive": func(j job) load { return &bulk{job: j, receive: true} },
	"ask":     func(j job) load { return &asking{job: j} },
	"hold":    func(j job) load { return &asking{job: j, hold: true} },
	"visit":   func(j job) load { return &visiting{job: j} },
}

// runLoad is the load's process: a job comes in, steps go out.
func runLoad(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	steps := json.NewEncoder(out)
	var j job
	if !lines.Scan() {
		return errors.New("no job")
	}
	if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	newLoad, ok := loads[j.Kind]
	if !ok {
		return fmt.Errorf("job: no load %q", j.Kind)
	}
	if err := runSteps(newLoad(j), lines, steps); err != nil {
		reason := err.Error()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			reason = "it hangs: " + reason
		}
		return steps.Encode(step{Step: stepFailed, Reason: reason})
	}
	return nil
}

func runSteps(l load, lines *bufio.Scanner, steps *json.Encoder) error {
	if err := l.prepare(); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	if err := steps.Encode(step{Step: stepReady}); err != nil {
		return err
	}
	lines.Scan()
	t, err := l.measure()
	if err != nil {
		return err
	}
	if err := steps.Encode(step{Step: stepMeasured, Tally: t}); err != nil {
		return err
	}
	lines.Scan()
	if err := l.end(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return steps.Encode(step{Step: stepEnded})
}

// dial connects to the relay, with as little as Go can do it: no timeout, which
// takes a goroutine, and no keepalive. Bench kills a load that does not get on.
func (j job) dial() (*net.TCPConn, error) {
	d := net.Dialer{KeepAlive: -1}
	c, err := d.Dial("tcp4", j.Addr.String())
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	tcp.SetDeadline(time.Now().Add(j.Patience))
	return tcp, nil
}

// offset is where in the patterns the i-th connection begins: so that bytes of
// another one are wrong.
func offset(i int) int64 { return int64(i) * 1009 }

// parallel calls f for 0 to n-1, at most limit at a time (0: all), and returns
// when all calls have. The first error it returns at once, with its number: who
// still hangs then ends with the process, as a load that has failed does nothing
// more.
func parallel(n, limit int, f func(i int) error) error {
	if limit <= 0 || limit > n {
		limit = n
	}
	c := calls{n: int64(n), f: f, ended: make(chan error, limit)}
	for range limit {
		go c.work()
	}
	for range limit {
		if err := <-c.ended; err != nil {
			return err
		}
	}
	return nil
}

// calls are those of one parallel.
type calls struct {
	n     int64
	f     func(i int) error
	begun atomic.Int64
	ended chan error // from each worker
}

func (c *calls) work() {
	for {
		i := c.begun.Add(1) - 1
		if i >= c.n {
			c.ended <- nil
			return
		}
		if err := c.f(int(i)); err != nil {
			c.ended <- fmt.Errorf("connection %d of %d: %w", i+1, c.n, err)
			return
		}
	}
}

// percentiles returns the median and the 99th percentile of all ops.
func percentiles(took [][]time.Duration) (p50, p99 time.Duration) {
	all := slices.Concat(took...)
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}
