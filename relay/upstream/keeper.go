package upstream

import (
	"time"
)

// keep is the pool's clock: it ends ejections, and begins checks and lookups,
// when their time has come. It is the goroutine that the others are begun by.
func (p *Pool) keep() {
	defer p.running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		timer.Reset(p.tick())
	}
}

// How long the clock sleeps: so that many members do not wake it one by one, and
// when there is nothing to do.
const (
	shortestTick = 5 * time.Millisecond
	longestTick  = time.Hour
)

// tick does what is due, and returns when there is something to do again.
func (p *Pool) tick() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next := now.Add(longestTick)
	for _, m := range p.members {
		if !m.until.IsZero() && due(now, m.until, &next) {
			p.readmit(m, now)
		}
		if p.c.Check.On && !m.checking && due(now, m.checkAt, &next) {
			m.checking = true
			p.checks.add(m.check)
		}
	}
	for _, t := range p.targets {
		if t.named() && !t.asking && !t.askAt.IsZero() && due(now, t.askAt, &next) {
			t.asking = true
			p.lookups.add((&lookingUp{p: p, t: t, last: t.known}).run)
		}
	}
	return max(next.Sub(now), shortestTick)
}

// due reports whether it is time, and if not lets next be no later.
func due(now, at time.Time, next *time.Time) bool {
	if !now.Before(at) {
		return true
	}
	if at.Before(*next) {
		*next = at
	}
	return false
}

// jitter returns d, give or take a tenth.
func (p *Pool) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*p.rand.Float64()))
}

// A crew is a bounded number of goroutines that do jobs, and end when there are
// none. All but the jobs is under the pool's lock.
type crew struct {
	p       *Pool
	max     int
	running int
	jobs    []func()
}

// add is called by the pool's clock only: the pool, which waits for that, waits
// for the crew too.
func (c *crew) add(job func()) {
	c.jobs = append(c.jobs, job)
	if c.running < c.max {
		c.running++
		c.p.running.Add(1)
		go c.work()
	}
}

func (c *crew) work() {
	defer c.p.running.Done()
	for job := c.next(); job != nil; job = c.next() {
		job()
	}
}

// next returns a job, or nil if the goroutine is to end.
func (c *crew) next() (job func()) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if len(c.jobs) == 0 || c.p.closed {
		c.running--
		return nil
	}
	job, c.jobs = c.jobs[0], c.jobs[1:]
	return job
}
