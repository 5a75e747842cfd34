// An asking load is connections on which a request waits for the answer to the
// one before it.

package main

import (
	"fmt"
	"net"
	"time"
)

type asking struct {
	job
	hold  bool // the connections are idle: each is only asked once to measure
	conns []*conversation
	took  [][]time.Duration
}

// A conversation is one connection.
type conversation struct {
	conn   *net.TCPConn
	size   int
	offset int64
	moved  int64 // bytes each way
	buf    []byte
}

// converse opens the i-th connection, up to the first answer.
func (j job) converse(i int) (*conversation, error) {
	conn, err := j.dial()
	if err != nil {
		return nil, err
	}
	c := &conversation{conn: conn, size: j.Size, offset: offset(i), buf: make([]byte, min(j.Size, window))}
	h := header{service: answer, report: true, size: j.Size, offset: c.offset, patience: j.Patience}
	if _, err := conn.Write(h.append(nil)); err != nil {
		return nil, err
	}
	return c, c.ask()
}

// ask sends one message and checks the answer.
func (c *conversation) ask() error {
	if err := upwards().write(c.conn, c.offset+c.moved, c.size); err != nil {
		return err
	}
	if err := downwards().read(c.conn, c.buf, c.offset+c.moved, c.size); err != nil {
		return fmt.Errorf("the answer to message %d: %w", c.moved/int64(c.size)+1, err)
	}
	c.moved += int64(c.size)
	return nil
}

// end sends the FIN and verifies what comes after.
func (c *conversation) end() error {
	if err := c.conn.CloseWrite(); err != nil {
		return err
	}
	return readReport(c.conn, c.moved)
}

func (a *asking) prepare() error {
	a.conns = make([]*conversation, a.Conns)
	a.took = make([][]time.Duration, a.Conns)
	if err := parallel(a.Conns, a.Openers, a.open); err != nil {
		return err
	}
	if a.hold {
		return nil
	}
	_, err := a.askAll(a.Warm)
	return err
}

func (a *asking) open(i int) (err error) {
	a.conns[i], err = a.converse(i)
	return err
}

func (a *asking) measure() (tally, error) {
	if a.hold {
		start := time.Now()
		err := parallel(a.Conns, a.Openers, a.askOnce)
		return tally{Ops: int64(a.Conns), Elapsed: time.Since(start)}, err
	}
	return a.askAll(a.Measure)
}

func (a *asking) askOnce(i int) error { return a.conns[i].ask() }

// askAll asks on all connections for a time.
func (a *asking) askAll(d time.Duration) (tally, error) {
	var t tally
	start := time.Now()
	end := start.Add(d)
	err := parallel(a.Conns, 0, func(i int) error { return a.askUntil(i, end) })
	t.Elapsed = time.Since(start)
	for _, took := range a.took {
		t.Ops += int64(len(took))
	}
	t.Bytes = t.Ops * int64(a.Size)
	t.P50, t.P99 = percentiles(a.took)
	return t, err
}

// askUntil asks at least once.
func (a *asking) askUntil(i int, end time.Time) error {
	took := a.took[i][:0]
	for now := time.Now(); len(took) == 0 || now.Before(end); {
		if err := a.conns[i].ask(); err != nil {
			return err
		}
		then := now
		now = time.Now()
		took = append(took, now.Sub(then))
	}
	a.took[i] = took
	return nil
}

func (a *asking) end() error {
	return parallel(a.Conns, a.Openers, func(i int) error { return a.conns[i].end() })
}
