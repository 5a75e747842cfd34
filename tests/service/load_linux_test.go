package service

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// A load is clients that come at a steady rate, whatever becomes of those before.
type load struct {
	t      *testing.T
	addrs  []string // of listeners, each in turn
	over   chan struct{}
	coming sync.WaitGroup

	mu     sync.Mutex
	visits []visit
}

// A visit is one client: it asks one question.
type visit struct {
	began    time.Time
	took     time.Duration
	listener int    // its index
	target   string // the address of who answered
	err      error
}

// startLoad lets so many clients come a second, until stop.
func startLoad(t *testing.T, addrs []string, perSecond int) *load {
	l := &load{t: t, addrs: addrs, over: make(chan struct{})}
	l.coming.Go(func() { l.run(time.Second / time.Duration(perSecond)) })
	t.Cleanup(l.stop)
	return l
}

// stop ends it, and waits for those who have come.
func (l *load) stop() {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.coming.Wait()
}

func (l *load) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			l.coming.Go(func() { l.visit(n) })
		case <-l.over:
			return
		}
	}
}

func (l *load) visit(n int) {
	v := visit{began: time.Now(), listener: n % len(l.addrs)}
	v.target, v.err = ask(n, l.addrs[v.listener])
	v.took = time.Since(v.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.visits = append(l.visits, v)
}

func ask(n int, addr string) (target string, err error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	return question(c, n)
}

// question asks who answers.
func question(c net.Conn, n int) (target string, err error) {
	if _, err := fmt.Fprintln(c, n); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", err
	}
	var got int
	if _, err := fmt.Sscan(line, &target, &got); err != nil || got != n {
		return "", fmt.Errorf("the answer to %d is %q", n, line)
	}
	return target, nil
}

// between returns the visits that began in a span of time.
func (l *load) between(from, to time.Time) (list []visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.visits {
		if !v.began.Before(from) && v.began.Before(to) {
			list = append(list, v)
		}
	}
	return list
}

// at counts the visits at a target in a span of time, and all of it.
func (l *load) at(x *target, from, to time.Time) (n, all int) {
	for _, v := range l.between(from, to) {
		all++
		if v.target == x.addr {
			n++
		}
	}
	return n, all
}

// untilAnswered waits until so many visits that began after a time are over.
func (l *load) untilAnswered(since time.Time, n int) {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%d more clients are answered", n), func() bool { return len(l.between(since, time.Now())) >= n })
}
