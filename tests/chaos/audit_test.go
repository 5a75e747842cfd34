package chaos

import (
	"runtime/metrics"
	"time"

	"relayd/lifetime"
)

// What the auditor allows. The grace of an orphan is all the time that a socket
// may owe something to its peer, and some for a machine that is busy.
const (
	auditEvery  = 100 * time.Millisecond
	orphanGrace = 10 * time.Second
	strayGrace  = 10 * time.Second       // while the machine was busy with something else
	stood       = 100 * time.Millisecond // a thread without a processor, between two looks
	standing    = 3 * time.Second        // how long after that what is late is not lost
	perConn     = 16                     // goroutines, with stages that have some, and their edits
	others      = 200
	memoryBound = 512 << 20 // of all that lives, of an episode's conns
)

// An auditor looks whether all is accounted for.
type auditor struct {
	*episode
	still  stillness
	stood  time.Time            // when a thread last did
	strays map[uint64]time.Time // by inode: since when
}

// audit looks again and again, until the troubles end.
func (e *episode) audit() {
	a := &auditor{episode: e, strays: make(map[uint64]time.Time)}
	a.still.most()
	for pause(e.calm, auditEvery) == nil {
		a.look()
		e.tally.did("audits", 1)
	}
}

// lookForStrays wants none. Between the accept of a connection and its place in the
// tree are a few instructions, and a thread may stand still before any of them.
func (a *auditor) lookForStrays() {
	now := time.Now()
	if a.still.most() > stood {
		a.stood = now
	}
	strays, err := a.census.Strays()
	if err != nil { // without descriptors nobody can be counted: the next time
		return
	}
	seen := make(map[uint64]time.Time)
	for _, s := range strays {
		since, ok := a.strays[s.Inode]
		if !ok {
			since = now
		}
		seen[s.Inode] = since
		if now.Sub(a.stood) > standing || now.Sub(since) > strayGrace {
			a.t.Errorf("nobody answers for the socket %+v", s)
		} else if !ok {
			a.tally.did("audits: sockets that were late, of a thread that stood still", 1)
		}
	}
	a.strays = seen
}

func (a *auditor) look() {
	a.lookForStrays()
	e := a.episode
	for _, i := range lifetime.Snapshot(nil) {
		if i.State == lifetime.Live && !i.Owned && i.Age > orphanGrace && i.Children == 0 && i.Operations == 0 {
			e.t.Errorf("an orphan: %v", i)
		}
	}
	goroutines, memory := sizes()
	if most := uint64(e.relay.Live()*perConn + others); goroutines > most {
		e.t.Errorf("%d goroutines, with %d conns", goroutines, e.relay.Live())
	}
	if memory > memoryBound {
		e.t.Errorf("%d MiB live", memory>>20)
	}
}

// sizes returns how many goroutines there are, and how many bytes of objects.
func sizes() (goroutines, memory uint64) {
	s := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64()
}
