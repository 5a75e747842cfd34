package tests

import (
	"context"
	"flag"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"relayd/relay"
	"relayd/tests/leak"
	"relayd/transform"
)

// What package net promises of its conns, kept by two that have relays between
// them: all of nettest.TestConn, whatever is on the way. A relay reads ahead as
// much as its buffers hold, and so does every socket: what nettest wants of a
// Write that blocks, and of deadlines, holds all the same.
//
// By default each way is held to it without a stage, and each chain over one of
// the ways. With -every it is each way in each mode from both ends, and with each
// chain; that takes minutes, fewer of them with -parallel 8.

var every = flag.Bool("every", false, "hold every chain over every kind of address, in every mode, to what package net promises of a conn")

// A trial is what nettest.TestConn is run through.
type trial struct {
	way   way
	name  string // of the chain
	chain carried
	mode  string
	swap  bool // what nettest does to the one end is done to the server's, not the client's
}

// The modes: how conns without stages wait, and with a stage that comes and goes.
var modes = []string{"loops", "goroutines", "moving", "edited"}

func TestConnsThroughRelays(t *testing.T) {
	leak.Check(t)
	leak.Processes(t)
	for _, x := range trials(t) {
		t.Run(x.String(), func(t *testing.T) {
			if !x.way.once { // those have descriptors that no program may inherit
				t.Parallel()
			}
			x.run(t)
		})
	}
}

func (x trial) String() string {
	s := []string{x.mode, x.way.name, x.name}
	if x.swap {
		s = append(s, "swapped")
	}
	return strings.ReplaceAll(strings.Join(s, "/"), " ", "-")
}

// chains are those of one stage, and longer ones.
func chains(t *testing.T) map[string]carried {
	all := everyStage(t)
	// It holds back what may be the beginning of its text, and those of nettest who
	// wait for an answer end with zeros, "!" and 0xff.
	all["replace"] = carried{`replace:"\x80 that nobody says",to=x`, ""}
	all["delay"] = carried{"delay:200us,jitter=200us", ""}
	all["mixed"] = carried{"count,s2,exec:cat,slice:1000,zstd,hash", "unzstd,limit:1G/s,uns2,exec:cat"}
	all["zstd in one"] = carried{"zstd,unzstd", ""}
	all["codecs"] = carried{"s2,zstd,gzip", "gunzip,unzstd,uns2"}
	all["programs"] = carried{"exec:cat,zstd,unzstd," + guest + ",args=copy,exec:cat", ""}
	if *every {
		encode, decode := inARow(t)
		all["all in a row"] = carried{encode.String(), decode.String()}
		all["gzip in one"] = carried{"gzip,gunzip", ""}
		all["s2 in one"] = carried{"s2,uns2", ""}
		all["paced"] = carried{"slice:100,delay:100us,limit:1G/s,count", ""}
	}
	return all
}

// trials returns what is to be tried.
func trials(t *testing.T) (list []trial) {
	t.Helper()
	ways, chains := everyWay(t), chains(t)
	names := slices.Sorted(maps.Keys(chains))
	run := modes
	if os.Getenv("RELAYD_TEST_LOOP") != "" {
		run = []string{"environment"}
	}
	if *every {
		return everyTrial(ways, chains, names, run)
	}
	for i, w := range ways {
		list = append(list, trial{w, "plain", carried{}, run[0], i%2 == 0 == (len(run) > 1)})
	}
	if len(run) == 1 {
		return list // chains wait on goroutines, in each of the modes
	}
	for i, name := range names {
		list = append(list, trial{ways[i%len(ways)], name, chains[name], run[0], i%2 == 0})
	}
	return append(list, trial{ways[2], "plain", carried{}, "edited", true}, trial{ways[1], "mixed", chains["mixed"], "edited", false})
}

// everyTrial has all ways in all modes from both ends, and all ways with all
// chains, which wait on goroutines in each of the modes.
func everyTrial(ways []way, chains map[string]carried, names, run []string) (list []trial) {
	for i, w := range ways {
		for _, mode := range run {
			list = append(list, trial{w, "plain", carried{}, mode, false}, trial{w, "plain", carried{}, mode, true})
		}
		for j, name := range names {
			list = append(list, trial{w, name, chains[name], run[(i+j)%len(run)], (i+j/2)%2 == 0})
		}
	}
	return list
}

func (x trial) run(t *testing.T) {
	var c relay.Config
	switch x.mode {
	case "goroutines":
		c.EventLoops = -1
	case "moving":
		c.MoveEvery = time.Millisecond
	}
	var open *span
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if open == nil || x.way.once {
			open = x.way.open(t, x.chain, c)
		}
		s := open
		client, server, err := s.pair()
		if err != nil {
			return nil, nil, nil, err
		}
		quiet := func() {}
		if x.mode == "edited" {
			quiet = s.edit(t)
		}
		stop = func() {
			client.Close()
			server.Close()
			quiet()
			s.ended(t)
		}
		if x.swap {
			return server, client, stop, nil
		}
		return client, server, stop, nil
	})
}

// edit makes a stage come and go in both directions of each relay, again and
// again until stop.
func (s *span) edit(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	count := stages(t, "count")[0]
	add := func(c transform.Chain) (transform.Chain, error) { return c.Insert(transform.First, count) }
	remove := func(c transform.Chain) (transform.Chain, error) { return c.Remove("1") }
	var running sync.WaitGroup
	for _, r := range s.relays {
		running.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-tick.C
				edit := add
				if i%2 == 1 {
					edit = remove
				}
				for _, c := range r.Conns() {
					r.EditConn(ctx, c.ID, func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
						up, err := edit(up)
						if err == nil {
							down, err = edit(down)
						}
						return up, down, err
					})
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}
