package chaos

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// A part is what the cast is asked to play: one episode.
type part struct {
	Seed        uint64
	Houses      []house
	Certificate string // a file with a certificate and its key
}

// A stage is where the houses of the episode are.
type stage struct{ Houses []string }

// A cue begins the episode.
type cue struct {
	Entrances []entrance
	First     uint32 // the number of the first call
	Calls     int
	Crowd     int // calls at once
	Absences  []absence
	Polite    bool // everybody is
}

// An absence is that an upstream is away for a time.
type absence struct {
	House  int
	Before int // the call, counted from 0
	For    time.Duration
}

// A review is what the cast says when the episode is over.
type review struct {
	Calls []*call
	Wrong []string // what an upstream got that is no call at all
}

// A cast plays the clients and the upstreams of an episode.
type cast struct {
	part
	hosts []*host
	calls map[uint32]*call // by number

	polite bool

	mu    sync.Mutex
	wrong []string
	ends  sync.WaitGroup
}

// perform is the cast's process: it plays one part after the other.
func perform(in io.Reader, out io.Writer) error {
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		c := &cast{calls: make(map[uint32]*call)}
		if err := from.Decode(&c.part); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		var at stage
		for _, h := range c.Houses {
			u, err := c.listen(h)
			if err != nil {
				return err
			}
			c.hosts = append(c.hosts, u)
			at.Houses = append(at.Houses, u.at)
		}
		if err := to.Encode(at); err != nil {
			return err
		}
		var q cue
		if err := from.Decode(&q); err != nil {
			return err
		}
		c.mu.Lock() // checks are answered already
		c.polite = q.Polite
		c.mu.Unlock()
		if err := to.Encode(c.play(q)); err != nil {
			return err
		}
	}
}

// play plays all calls, and returns what became of them.
func (c *cast) play(q cue) review {
	var list []*call
	for i := range q.Calls {
		k := &call{Number: q.First + uint32(i)}
		c.calls[k.Number] = k
		list = append(list, k)
	}
	var crowd, away sync.WaitGroup
	next := make(chan *call)
	for range q.Crowd {
		crowd.Go(func() { c.callAll(q, next) })
	}
	for i, k := range list {
		for _, a := range q.Absences {
			if a.Before == i {
				away.Wait() // nobody is away twice at a time
				away.Go(func() { c.hosts[a.House].leave(c, a.For) })
			}
		}
		next <- k
	}
	close(next)
	crowd.Wait()
	away.Wait()
	for _, u := range c.hosts {
		u.close()
	}
	c.ends.Wait()
	return review{list, c.wrong}
}

func (c *cast) callAll(q cue, next <-chan *call) {
	for k := range next {
		r := randomOf(c.Seed, k.Number, 1)
		c.call(q.Entrances[r.IntN(len(q.Entrances))], k, r)
	}
}

// headSize is how long a call's number is, as it is sent first.
const headSize = 8

func headOf(number uint32) []byte {
	head := binary.BigEndian.AppendUint32(nil, number)
	return binary.BigEndian.AppendUint32(head, ^number)
}

// plan draws what a side does.
func (c *cast) plan(r *rand.Rand) plan {
	if c.isPolite() {
		return shortPlan(r)
	}
	return drawPlan(r)
}

func (c *cast) isPolite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polite
}

func (c *cast) blame(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// castRole makes the test binary the cast.
const castRole = "cast"

// playCast is the main function of the cast's process.
func playCast() int {
	if err := perform(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cast:", err)
		return 1
	}
	return 0
}
