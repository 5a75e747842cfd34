// A visiting load makes connections: connect, request, answer, close.

package main

import "time"

type visiting struct {
	job
	took  [][]time.Duration
	count []int // visits so far
}

func (v *visiting) prepare() error {
	v.took = make([][]time.Duration, v.Conns)
	v.count = make([]int, v.Conns)
	_, err := v.visitAll(v.Warm)
	return err
}

func (v *visiting) measure() (tally, error) { return v.visitAll(v.Measure) }

func (v *visiting) visitAll(d time.Duration) (tally, error) {
	var t tally
	start := time.Now()
	end := start.Add(d)
	err := parallel(v.Conns, 0, func(i int) error { return v.visitUntil(i, end) })
	t.Elapsed = time.Since(start)
	for _, took := range v.took {
		t.Ops += int64(len(took))
	}
	t.Bytes = t.Ops * int64(v.Size)
	t.P50, t.P99 = percentiles(v.took)
	return t, err
}

// visitUntil visits at least once.
func (v *visiting) visitUntil(i int, end time.Time) error {
	took := v.took[i][:0]
	request := make([]byte, 0, headerLen+v.Size)
	buf := make([]byte, v.Size)
	for now := time.Now(); len(took) == 0 || now.Before(end); {
		if err := v.visit(i, request, buf); err != nil {
			return err
		}
		then := now
		now = time.Now()
		took = append(took, now.Sub(then))
	}
	v.took[i] = took
	return nil
}

// visit is one connection: the i-th worker's next.
func (v *visiting) visit(i int, request, buf []byte) error {
	v.count[i]++
	at := offset(i + v.count[i]*v.Conns)
	h := header{service: answer, size: v.Size, offset: at, patience: v.Patience}
	request = append(h.append(request), upwards().at(at, v.Size)...)
	c, err := v.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil {
		return err
	}
	return downwards().read(c, buf, at, v.Size)
}

// end makes one more visit for each worker that ends by a FIN instead of a
// close, so that there is an answer after it.
func (v *visiting) end() error { return parallel(v.Conns, 0, v.endOne) }

func (v *visiting) endOne(i int) error {
	c, err := v.converse(i)
	if err != nil {
		return err
	}
	return c.end()
}
