package socket

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe is what bulk is spliced through: two descriptors that no one else has.
type pipe struct {
	r, w int
	size int // how much it holds
}

// A pipePool keeps a few empty pipes. How many there are at all, in use
// included, is bounded: descriptors and the kernel's memory for pipes are
// everybody's. Who gets none copies.
type pipePool struct {
	mu    sync.Mutex
	idle  []*pipe
	open  int         // with those in use
	taken bool        // one was, since the last trim
	trim  *time.Timer // runs while pipes are idle
}

const (
	// pipeSize is what pipes should hold, and pipeFair what they hold if the
	// system does not let this user have so much (pipe(7),
	// pipe-user-pages-soft): a quarter costs half as much time again.
	pipeSize = 1 << 20
	pipeFair = 256 << 10
	// pipeLeast is what they must hold: below this copying is as good.
	pipeLeast = 64 << 10
	// maxPipes bounds the pipes, at pipeSize and two descriptors each, and
	// maxIdlePipes those that wait for bulk.
	maxPipes     = 64
	maxIdlePipes = 16
	// idlePipeTime is how long pipes wait for bulk.
	idlePipeTime = time.Second
)

var pipes pipePool

// get returns an empty pipe, or nil.
func (l *pipePool) get() *pipe {
	l.mu.Lock()
	if n := len(l.idle); n > 0 {
		p := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.taken = true
		l.mu.Unlock()
		return p
	}
	if l.open == maxPipes {
		l.mu.Unlock()
		return nil
	}
	l.open++
	l.mu.Unlock()
	p := newPipe()
	if p == nil {
		l.closed()
	}
	return p
}

// put takes an empty pipe back.
func (l *pipePool) put(p *pipe) {
	l.mu.Lock()
	if len(l.idle) < maxIdlePipes {
		l.idle = append(l.idle, p)
		p = nil
		if l.trim == nil {
			l.trim = time.AfterFunc(idlePipeTime, l.trimIdle)
		}
	}
	l.mu.Unlock()
	if p != nil {
		l.close(p)
	}
}

// close closes a pipe, which may hold bytes.
func (l *pipePool) close(p *pipe) {
	unix.Close(p.r)
	unix.Close(p.w)
	l.closed()
}

// closed notes that there is one less.
func (l *pipePool) closed() {
	l.mu.Lock()
	l.open--
	l.mu.Unlock()
}

// trimIdle closes those that are idle if none was asked for in a while.
func (l *pipePool) trimIdle() {
	l.mu.Lock()
	idle := l.idle
	if l.taken {
		l.taken, idle = false, nil
		l.trim.Reset(idlePipeTime)
	} else {
		l.idle, l.trim = nil, nil
	}
	l.mu.Unlock()
	for _, p := range idle {
		l.close(p)
	}
}
