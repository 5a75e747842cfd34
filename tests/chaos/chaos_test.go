package chaos

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
	"relayd/transform"
)

var (
	duration = flag.Duration("duration", 5*time.Second, "how long to play")
	seed     = flag.Uint64("seed", 0, "the first episode's `seed`; 0 draws one")
	episodes = flag.Int("episodes", 0, "end after so many; 0 ends by -duration")
	calls    = flag.Int("calls", 300, "how many in an episode")
)

func TestMain(m *testing.M) {
	if program.Role() == castRole {
		os.Exit(playCast())
	}
	becomeOrdinary()
	leak.Main(m)
}

// Everything at once, and every promise is held against what came of it.
func TestChaos(t *testing.T) {
	next := *seed
	if next == 0 {
		next = rand.Uint64()
	}
	p, certificate := startCast(t), newCertificate(t)
	sum := newTally()
	defer func() { t.Log(sum) }()
	number := uint32(firstCall)
	for n, began := 0, time.Now(); ; n++ {
		switch {
		case t.Failed():
			return
		case *episodes > 0 && n >= *episodes:
			return
		case *episodes == 0 && n > 0 && time.Since(began) > *duration:
			return
		}
		ok := t.Run(strconv.FormatUint(next, 10), func(t *testing.T) {
			e := &episode{t: t, seed: next, random: randomOf(next, 0, 5), tally: sum, certificate: certificate}
			e.plain = e.random.IntN(3) == 0
			for _, fault := range e.play(p.in(t), number, *calls).faults() {
				t.Error(fault)
			}
		})
		if !ok {
			t.Logf("again: go test ./tests/chaos -seed %d -episodes 1 -calls %d", next, *calls)
		}
		if number += uint32(*calls); number >= 1<<24-uint32(*calls)-1 {
			number = firstCall
		}
		next = rand.New(rand.NewPCG(next, 1)).Uint64()
	}
}

// A company is the cast's process, as the test sees it.
type company struct {
	t    *testing.T
	to   *json.Encoder
	from *json.Decoder
}

// castPID is no child of the relay's.
var castPID int

// startCast starts the cast's process, which ends with the test.
func startCast(t *testing.T) *company {
	cast := program.StartSelf(t, castRole)
	castPID = cast.Cmd.Process.Pid
	t.Cleanup(func() {
		if err := cast.End(); err != nil {
			t.Errorf("cast: %v", err)
		}
	})
	return &company{to: json.NewEncoder(cast.In), from: json.NewDecoder(cast.Out)}
}

// in is the cast for one episode's test.
func (c *company) in(t *testing.T) *company { return &company{t, c.to, c.from} }

// ask has the cast make itself ready.
func (c *company) ask(p part) (s stage) {
	c.exchange(p, &s)
	return s
}

// cue has it play, and waits for its review.
func (c *company) cue(q cue) (r review) {
	c.exchange(q, &r)
	return r
}

func (c *company) exchange(q, answer any) {
	c.t.Helper()
	if err := c.to.Encode(q); err != nil {
		c.t.Fatal(err)
	}
	if err := c.from.Decode(answer); err != nil {
		c.t.Fatal(err)
	}
}

func parseAddress(s string) socket.Address {
	a, err := socket.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func parseChain(s string) transform.Chain {
	if s == "" {
		return nil
	}
	c, err := transform.ParseChain(s)
	if err != nil {
		panic(err)
	}
	return c
}

func addrPort(a socket.Address) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a.Host), a.Port)
}
