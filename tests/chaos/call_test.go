package chaos

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A call is one connection of a client to the relay: what its two sides have set
// out to do, and what became of it. The cast fills it in, and hands it over when
// the episode is over.
type call struct {
	Number           uint32 // unlike that of any other call of the test
	Client, Upstream side
	// Connected tells whether the client was connected to the relay, and Answered
	// whether an upstream has learnt that the call is this one.
	Connected, Answered bool

	Entrance string // the kind of it
	Group    int    // of houses, to which its route leads
	From     string // the IP address that the upstream is to learn, or ""
	// Named tells that a PROXY header names the client, Unix that it came by a Unix
	// socket, Gate by the listener that comes and goes, Through that its TLS is with
	// the upstream, and Prank that it did not begin as it should have.
	Named, Unix, Gate, Through, Prank bool
}

// A side is one end of a call.
type side struct {
	Plan string // in a word, for reports

	Sent    int64 // bytes that the system has taken
	Fin     bool  // they were all, and were followed by a FIN
	Got     int64 // bytes that have arrived
	EOF     bool  // and then the end of the stream
	Err     string
	Broken  bool // it broke the connection off, or went without a word
	Closed  bool // it closed: the system sends a FIN if nothing was unread
	Wrong   string
	Refused bool // it was never there
}

// home returns the address that the call's client has, if it comes by TCP.
func (c *call) home() netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], c.Number)
	a[0] = 127
	return netip.AddrFrom4(a)
}

// The numbers of calls: 127.1.0.0 is the first one's address.
const firstCall = 1 << 16

// randomOf returns the randomness of one call of an episode, the same for who
// plays it and who looks at it.
func randomOf(seed uint64, number uint32, who uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(number)<<8|who))
}

// Directions, as parts of a stream's key, and roles of randomness.
const (
	up uint64 = iota + 1
	down
)

// A pattern is a stream of bytes of which each depends on its place.
type pattern struct{ key uint64 }

func patternOf(number uint32, direction uint64) pattern {
	return pattern{uint64(number)<<8 | direction}
}

// word returns eight bytes of it: the finalizer of MurmurHash3 of their place.
func (k pattern) word(i int64) uint64 {
	x := k.key<<32 ^ uint64(i) ^ k.key
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// fill writes the bytes from place at on.
func (k pattern) fill(p []byte, at int64) {
	var w [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(w[:], k.word(at/8))
		n := copy(p, w[at%8:])
		p, at = p[n:], at+int64(n)
	}
}

// check says which byte from place at on is another one.
func (k pattern) check(p []byte, at int64) error {
	want := make([]byte, len(p))
	k.fill(want, at)
	for i := range p {
		if p[i] != want[i] {
			return fmt.Errorf("byte %d is %#02x, want %#02x", at+int64(i), p[i], want[i])
		}
	}
	return nil
}

// A plan is what one side sets out to do with its connection.
type plan struct {
	name     string
	silence  time.Duration // before anything
	send     int64         // bytes
	piece    int           // of each write, at most
	gap      time.Duration // between two writes
	fin      bool          // after the last byte; otherwise at the peer's end
	deaf     time.Duration // before the first read
	take     int64         // bytes to read; then nothing more is read
	sip      int           // of each read, at most
	ending   ending
	after    int64 // bytes sent and received before an early end
	narrow   bool  // a small receive buffer
	patience time.Duration
}

// An ending is how a side leaves.
type ending string

const (
	politely ending = "close"  // when both directions have ended
	rudely   ending = "leave"  // a close with whatever is unread
	reset    ending = "reset"  // a close with a reset
	vanish   ending = "vanish" // without a word to the peer
)

const everything = int64(1) << 62

// A sort is a kind of plan, and how often it is drawn.
type sort struct {
	weight int
	make   func(r *rand.Rand, p *plan)
}

var sorts = []sort{
	{30, func(*rand.Rand, *plan) {}},
	{10, func(r *rand.Rand, p *plan) { p.name, p.fin = "follows", false }},
	{8, func(r *rand.Rand, p *plan) {
		p.name, p.send, p.piece, p.gap = "trickles", 1+r.Int64N(60), 1, time.Duration(r.Int64N(int64(20*time.Millisecond)))
	}},
	{8, func(r *rand.Rand, p *plan) {
		p.name, p.narrow, p.deaf = "stalls", true, time.Duration(r.Int64N(int64(2*time.Second)))
	}},
	{4, func(r *rand.Rand, p *plan) { p.name, p.narrow, p.deaf = "never reads", true, time.Minute }},
	{8, func(r *rand.Rand, p *plan) { p.name, p.ending, p.after = "resets", reset, amount(r) }},
	{5, func(r *rand.Rand, p *plan) { p.name, p.ending, p.after = "leaves", rudely, amount(r) }},
	{5, func(r *rand.Rand, p *plan) { p.name, p.ending, p.after = "vanishes", vanish, amount(r) }},
	{4, func(r *rand.Rand, p *plan) {
		p.name, p.silence, p.send, p.ending = "says nothing", time.Duration(r.Int64N(int64(time.Second))), 0, reset
		p.after = everything
		p.fin = false
	}},
	{4, func(r *rand.Rand, p *plan) { p.name, p.send = "only ends", 0 }},
	{3, func(r *rand.Rand, p *plan) { p.name, p.take = "stops reading", amount(r) }},
}

// shortPlan draws what is as it should be, and soon over.
func shortPlan(r *rand.Rand) plan {
	p := politePlan(r)
	p.send, p.patience = 100+r.Int64N(4000), time.Second
	return p
}

// politePlan draws what is as it should be.
func politePlan(r *rand.Rand) plan {
	return plan{
		name: "polite", send: amount(r), piece: 1 + r.IntN(1<<uint(r.IntN(18))), fin: true,
		take: everything, sip: 1 + r.IntN(1<<uint(6+r.IntN(11))),
		ending: politely, after: everything, patience: 6 * time.Second,
	}
}

// drawPlan draws one.
func drawPlan(r *rand.Rand) plan {
	p := politePlan(r)
	all := 0
	for _, s := range sorts {
		all += s.weight
	}
	n := r.IntN(all)
	for _, s := range sorts {
		if n -= s.weight; n < 0 {
			s.make(r, &p)
			return p
		}
	}
	panic("unreachable")
}

// amount draws a number of bytes: mostly few, sometimes many.
func amount(r *rand.Rand) int64 { return r.Int64N(1 << uint(r.IntN(22))) }
