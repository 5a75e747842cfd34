package socket

import (
	"runtime"
	"sync"
	"time"
)

// A loop is the inside of a Loop. Every turn it looks into its inbox, lets the
// flows in its queue move bytes, and asks the poller what has happened. All but
// the inbox belongs to its goroutine.
type loop struct {
	poller  poller
	calls   calls
	scratch buffer // what is read is written from here at once, mostly

	slots slots   // by number, which events carry
	posts []*post // listeners that it accepts from, by their numbers: -1 is the first; nil for a free one

	first, last *flow // the queue of those that can move bytes

	dials   dialQueue
	late    time.Time // when to set options that can wait; zero if none do
	patient bool      // wait with the runtime's help only

	mu       sync.Mutex
	inbox    []visitor
	spare    []visitor // the inbox of the turn before, empty
	asleep   bool      // or about to be: wake it
	stopping bool
}

// A visitor comes to a loop by its inbox, from any goroutine, to be looked at.
type visitor interface{ visit(*Loop) }

// An event is what has become of a descriptor.
type event uint8

const (
	canRead event = 1 << iota
	canWrite
	hasEnded // the peer's end is there to be read, or an error
	isDead   // both directions have ended
	isUrgent // urgent data have arrived
)

// StartLoops starts n event loops; 0 stands for as many as the runtime has
// processors to spare: all but one, and at least one. Loops wait beside the
// scheduler, and whatever else the process does needs a processor of its own.
// Stop them when the last socket is gone.
func StartLoops(n int) (*Loops, error) {
	processors := runtime.GOMAXPROCS(0)
	if n == 0 {
		n = max(1, processors-1)
	}
	ls := &Loops{}
	for range n {
		l := &Loop{}
		if err := l.poller.open(); err != nil {
			ls.Stop()
			ls.Wait()
			return nil, err
		}
		l.calls = kernel{}
		l.patient = n >= processors
		ls.list = append(ls.list, l)
		ls.ran.Add(1)
		go l.run(&ls.ran)
	}
	return ls, nil
}

// post puts v into the inbox. While a loop is awake that costs no system call.
func (l *Loop) post(v visitor) {
	l.mu.Lock()
	l.inbox = append(l.inbox, v)
	wake := l.asleep
	l.asleep = false
	l.mu.Unlock()
	if wake {
		l.poller.wake()
	}
}

func (l *Loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	l.poller.wake() // before it hears of it: it closes what this writes to
}

// run is the loop's goroutine.
func (l *Loop) run(ran *sync.WaitGroup) {
	defer ran.Done()
	defer l.poller.close()
	// A thread of its own: who is busy all the time is scheduled by the kernel
	// as such, and must not leave that on threads that goroutines run on. They
	// would wait for the processor as long as it does.
	runtime.LockOSThread()
	for l.readInbox() {
		l.stepQueue()
		l.dials.expire(l)
		l.setLate()
		l.poll()
	}
}

// readInbox lets everybody in it visit. It reports false when the loop was
// stopped.
func (l *Loop) readInbox() bool {
	for {
		l.mu.Lock()
		visitors := l.inbox
		if len(visitors) == 0 {
			stopping := l.stopping
			l.mu.Unlock()
			return !stopping
		}
		l.inbox, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		for i, v := range visitors {
			v.visit(l)
			visitors[i] = nil
		}
		l.spare = visitors
	}
}

// stepQueue lets each flow in the queue move bytes once.
func (l *Loop) stepQueue() {
	f := l.first
	l.first, l.last = nil, nil
	for f != nil {
		next := f.next
		f.next = nil
		f.m.state = wantRead // unless it says otherwise
		f.step(l)
		f = next
	}
}

// enqueue gives f a turn.
func (l *Loop) enqueue(f *flow) {
	f.m.state = moved
	if l.last == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
}

// dequeue takes f out of the queue, if it is there: it may begin anew before its
// turn comes.
func (l *Loop) dequeue(f *flow) {
	if f.m.state != moved {
		return
	}
	var before *flow
	for at := l.first; at != nil; before, at = at, at.next {
		if at != f {
			continue
		}
		if before == nil {
			l.first = f.next
		} else {
			before.next = f.next
		}
		if l.last == f {
			l.last = before
		}
		break
	}
	f.next, f.m.state = nil, wantRead
}

// How long a loop waits beside the scheduler before it lets it know. Longer,
// and the runtime cannot use the processor; at once, and every small pause
// costs handing it over and getting it back.
const briefWait = 2 * time.Millisecond

// poll asks for events, and waits for them if there is nothing else to do.
func (l *Loop) poll() {
	if l.first != nil {
		l.poller.dispatch(l, l.poller.look())
		return
	}
	l.mu.Lock()
	if len(l.inbox) > 0 || l.stopping {
		l.mu.Unlock()
		return
	}
	l.asleep = true
	l.mu.Unlock()
	until := l.dials.next()
	if !l.late.IsZero() && (until.IsZero() || l.late.Before(until)) {
		until = l.late
	}
	n := 0
	if !l.patient {
		n = l.poller.waitBriefly(until)
	}
	if n == 0 {
		n = l.poller.wait(until)
	}
	l.mu.Lock()
	l.asleep = false
	l.mu.Unlock()
	l.poller.dispatch(l, n)
}

// dispatch passes an event on, if it is not too late for it.
func (l *Loop) dispatch(slot, generation int32, e event) {
	if slot < 0 {
		l.posts[-slot-1].heard(l)
	} else if s := l.slots.at(slot); s.t != nil && s.generation == generation {
		s.t.heard(l, e)
	}
}

// lateOptions is how long the options that a connection needs only when it
// stands still are left out: most are gone before.
const lateOptions = time.Second

// setLate sets the options that were left out.
func (l *Loop) setLate() {
	if l.late.IsZero() || time.Now().Before(l.late) {
		return
	}
	l.late = time.Time{}
	for n := int32(1); n < l.slots.used; n++ {
		t := l.slots.at(n).t
		switch {
		case t == nil || t.dial == nil:
		case t.dial.over:
			t.mu.Lock()
			if t.fd >= 0 { // or it was closed before anybody copied
				t.setLate()
			}
			t.mu.Unlock()
		default:
			l.late = time.Now().Add(lateOptions)
		}
	}
}
