package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// An episode is one relay's life.
type episode struct {
	t           *testing.T
	seed        uint64
	random      *rand.Rand
	plain       bool   // one route to one target; otherwise all that there is
	dir         string // for Unix sockets
	certificate string
	groups      []group
	entrances   []entrance
	log         *journal
	relay       *relay.Server
	config      relay.Config
	census      *socket.Census
	tally       *tally
	calm        context.Context // ends with the troubles
	closed      atomic.Bool     // the gate was
	// sabotage, if it is not nil, plants an error in the relay's settings. All
	// others are polite then.
	sabotage func(*relay.Config)
}

// policies are all that there are.
var policies = []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block}

// chains are stages that give back, all together, what they are given.
var chains = []string{
	"", "", "", "count", "zstd,unzstd", "s2,uns2", "gzip,gunzip", "slice:7,delay:3ms,jitter=2ms", "limit:20MiB/s",
	"exec:cat", "tee:to=/dev/full,lossy=true", "hash:sha256,zstd,count,unzstd", "delay:1ms",
}

// draw makes the relay's settings.
func (e *episode) draw() {
	r := e.random
	c := relay.Config{
		Policy: policies[r.IntN(len(policies))],
		Log:    slog.New(e.log), LogRate: -1,
		Timeouts: relay.Timeouts{
			Connect: 2 * time.Second, Idle: 3 * time.Second, HalfClosed: 2 * time.Second, WriteStall: 2 * time.Second,
			Linger: 500 * time.Millisecond, MaxLinger: 2 * time.Second,
		},
	}
	if r.IntN(6) == 0 {
		c.Timeouts.MaxLifetime = 2 * time.Second
	}
	switch r.IntN(4) {
	case 0:
		c.EventLoops = -1
	case 1:
		c.MoveEvery = time.Duration(5+r.IntN(30)) * time.Millisecond
	}
	// Small buffers make writes partial, and everybody wait for everybody.
	options := ""
	if r.IntN(3) == 0 {
		options = fmt.Sprintf("&sndbuf=%d&rcvbuf=%d", 4096<<r.IntN(4), 4096<<r.IntN(4))
	}
	if e.plain {
		e.drawPlain(&c, options)
	} else {
		e.drawGeneral(&c, options)
	}
	e.config = c
}

// drawPlain draws the plain form: of two listeners the second comes and goes.
func (e *episode) drawPlain(c *relay.Config, options string) {
	c.Up, c.Down = e.chain(), e.chain()
	c.To = parseAddress(e.groups[0].address(e.groups[0].at[0], e.certificate, options))
	for i := range 1 + e.random.IntN(2) {
		c.Listen = append(c.Listen, parseAddress([]string{"127.0.0.1:0", gateAddress(e.random)}[i]+asQuery(options)))
		e.entrances = append(e.entrances, entrance{Gate: i == 1, Ways: []way{{}}})
	}
}

func (e *episode) chain() transform.Chain {
	if e.random.IntN(2) == 0 {
		return nil
	}
	return parseChain(chains[e.random.IntN(len(chains))])
}

// String says what is played.
func (e *episode) String() string {
	c := &e.config
	s := fmt.Sprintf("policy %v, loops %d, moving %v", c.Policy, c.EventLoops, c.MoveEvery)
	if e.plain {
		return fmt.Sprintf("to %v, %s, up %q, down %q", c.To, s, c.Up, c.Down)
	}
	for i, l := range c.Listeners {
		s += fmt.Sprintf("\n  %s: %v, %v to %q, conns %d, %d, %v", l.Name, e.entrances[i], l.Address, l.Route, l.MaxConns, l.MaxPerSource, l.AcceptRate)
	}
	for i, r := range c.Routes {
		s += fmt.Sprintf("\n  %s: to %s, proxy %d, up %q, down %q", r.Name, r.Upstream, r.SendProxy, r.Up, r.Down)
		if i < len(c.Upstreams) {
			s += fmt.Sprintf("\n    %+v", c.Upstreams[i])
		}
	}
	return s
}

// play plays the episode, with a cast, and returns what came of it, which is for
// its caller to judge.
func (e *episode) play(p *company, first uint32, calls int) *outcome {
	t := e.t
	e.dir = t.TempDir()
	leak.Check(t)
	houses := e.drawGroups()
	e.furnish(houses, p.ask(part{Seed: e.seed, Houses: houses, Certificate: e.certificate}).Houses)
	e.log = newJournal()
	e.draw()
	if e.sabotage != nil {
		e.sabotage(&e.config)
	}
	t.Log(e)
	var err error
	if e.census, err = socket.NewCensus(); err != nil {
		t.Fatal(err)
	}
	if e.relay, err = relay.Start(t.Context(), e.config); err != nil {
		t.Fatal(err)
	}
	e.settle()
	calm, stop := context.WithCancel(t.Context())
	e.calm = calm
	var troubles sync.WaitGroup
	if e.sabotage == nil {
		e.begin(&troubles)
	}
	troubles.Go(e.audit)
	seen := p.cue(e.cue(first, calls, len(houses)))
	stop()
	troubles.Wait()
	e.end()
	o := &outcome{seen: seen, ends: e.log.ends(), stats: e.relay.Stats(), closed: e.closed.Load()}
	e.tally.add(o)
	return o
}

// settle notes which ports were taken: with them listeners can go and come again.
func (e *episode) settle() {
	for i, a := range e.relay.Addrs() {
		if a.Kind == socket.Unix {
			continue
		}
		e.entrances[i].At = addrPort(a).String()
		if e.plain {
			e.config.Listen[i].Port = a.Port
		} else {
			e.config.Listeners[i].Address.Port = a.Port
		}
	}
}

// cue draws what the cast is to do.
func (e *episode) cue(first uint32, calls, houses int) cue {
	r := e.random
	q := cue{Entrances: e.entrances, First: first, Calls: calls, Crowd: 20 + r.IntN(60), Polite: e.sabotage != nil}
	if q.Polite {
		return q
	}
	for range r.IntN(2 + houses) {
		q.Absences = append(q.Absences, absence{r.IntN(houses), r.IntN(calls), time.Duration(r.IntN(300)) * time.Millisecond})
	}
	e.tally.did("upstreams away for a time", len(q.Absences))
	return q
}

// end drains the relay: whoever is left has idled for long.
func (e *episode) end() {
	ctx, stop := context.WithTimeout(context.Background(), 15*time.Second)
	defer stop()
	r, err := e.relay.Drain(ctx)
	if err != nil || r.Cut != 0 {
		e.t.Errorf("drain: %d cut, %v, left %v", r.Cut, err, r.Left)
	}
	for _, i := range lifetime.Snapshot(nil) {
		e.t.Errorf("left: %+v", i)
	}
	for _, u := range e.relay.Upstreams() {
		for _, m := range u.Members {
			if m.Conns != 0 || u.Queued != 0 {
				e.t.Errorf("upstream %s: %d wait, %s has %d conns", u.Name, u.Queued, m.Name, m.Conns)
			}
		}
	}
}
