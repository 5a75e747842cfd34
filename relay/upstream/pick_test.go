package upstream

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// turns takes n conns, one after the other, and returns who got them.
func turns(t *testing.T, p *Pool, n int) string {
	var b strings.Builder
	for range n {
		m := try(t, p, nobody)
		b.WriteString(m.Name())
		m.Done()
	}
	return b.String()
}

func TestRoundRobin(t *testing.T) {
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "aaaa"},
		{[]int{1, 1, 1}, "abcabcabc"},
		{[]int{5, 1, 1}, "aabacaaaabacaa"},
		{[]int{2, 1}, "abaaba"},
		{[]int{1, -1, 1}, "acac"}, // a negative weight is none
	} {
		p := opened(t, memory(t, RoundRobin, c.weights...), Options{})
		if got := turns(t, p, len(c.want)); got != c.want {
			t.Errorf("weights %v: %s, want %s", c.weights, got, c.want)
		}
	}
}

// Conns that stay are spread by weight, to one.
func TestLeastConns(t *testing.T) {
	p := opened(t, memory(t, LeastConns, 1, 2, 3, 4), Options{})
	for range 1000 {
		try(t, p, nobody)
	}
	for i, m := range p.Status().Members {
		if want := 100 * (i + 1); max(m.Conns-want, want-m.Conns) > 1 {
			t.Errorf("%s has %d conns, want %d", m.Name, m.Conns, want)
		}
	}
	// Who loses conns is the next to get some.
	a := members(p)[0]
	for range 10 {
		a.Done()
	}
	for range 10 {
		if m := try(t, p, nobody); m != a {
			t.Errorf("%s was taken, and not a", m.Name())
		}
	}
	// Equal ones take turns, also when conns do not last.
	p = opened(t, memory(t, LeastConns, 1, 1, 1), Options{})
	if got := turns(t, p, 6); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
		t.Errorf("the turns are %s", got)
	}
}

func TestTwoChoices(t *testing.T) {
	p := opened(t, memory(t, TwoChoices, 1, 1, 2, 4), Options{})
	for range 8000 {
		try(t, p, nobody)
	}
	for i, m := range p.Status().Members {
		// Drawing alone would be off by the root of the number, some 30 to 60.
		want := []int{1000, 1000, 2000, 4000}[i]
		if max(m.Conns-want, want-m.Conns) > 20 {
			t.Errorf("%s has %d conns, want about %d", m.Name, m.Conns, want)
		}
	}
	// With one that is free there is one choice.
	p.Set("a", Down)
	p.Set("b", Down)
	p.Set("c", Down)
	if m := try(t, p, nobody); m.Name() != "d" {
		t.Errorf("%s was taken", m.Name())
	}
}

// sources are n clients.
func sources(n int) (list []netip.Addr) {
	for i := range n {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 10<<24+uint32(i)*2654435761>>8)
		list = append(list, netip.AddrFrom4(ip))
	}
	return list
}

// homes returns to which member each of the sources goes.
func homes(t *testing.T, c Config, list []netip.Addr) (names []string) {
	p := opened(t, c, Options{Seed: uint64(len(c.Targets))})
	for _, s := range list {
		m := try(t, p, s)
		names = append(names, m.Name())
		m.Done()
	}
	return names
}

func share(names []string, name string) float64 {
	n := 0
	for _, s := range names {
		if s == name {
			n++
		}
	}
	return float64(n) / float64(len(names))
}

// wantShare allows for five standard deviations. Nothing here is random.
func wantShare(t *testing.T, names []string, name string, want float64) {
	t.Helper()
	if got := share(names, name); math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/float64(len(names))) {
		t.Errorf("%s has %.4f of the sources, want about %.4f", name, got, want)
	}
}

func TestHash(t *testing.T) {
	list := sources(20_000)
	c := memory(t, Hash, 1, 1, 1, 1)
	before := homes(t, c, list)
	for _, name := range []string{"a", "b", "c", "d"} {
		wantShare(t, before, name, 0.25)
	}
	if !slices.Equal(before, homes(t, c, list)) {
		t.Error("another pool says something else")
	}
	turned := memory(t, Hash, 1, 1, 1, 1)
	slices.Reverse(turned.Targets)
	if !slices.Equal(before, homes(t, turned, list)) {
		t.Error("the order of the targets matters")
	}

	// A new target takes its share, and nothing else moves.
	after := homes(t, memory(t, Hash, 1, 1, 1, 1, 1), list)
	wantShare(t, after, "e", 0.2)
	for i := range list {
		if after[i] != before[i] && after[i] != "e" {
			t.Fatalf("%v has moved from %s to %s", list[i], before[i], after[i])
		}
	}

	// So does one that gets more weight.
	heavy := homes(t, memory(t, Hash, 1, 1, 1, 2), list)
	wantShare(t, heavy, "d", 0.4)
	for i := range list {
		if heavy[i] != before[i] && heavy[i] != "d" {
			t.Fatalf("%v has moved from %s to %s", list[i], before[i], heavy[i])
		}
	}

	// When one is down, its sources move, and come back.
	p := opened(t, c, Options{})
	for _, s := range []State{Down, Up} {
		p.Set("b", s)
		for i, source := range list[:1000] {
			m := try(t, p, source)
			if stays := before[i] != "b" || s == Up; stays != (m.Name() == before[i]) {
				t.Fatalf("with b %v, %v goes to %s, before to %s", s, source, m.Name(), before[i])
			}
			m.Done()
		}
	}
}

// What a source hashes to is a promise to other processes, of other versions
// too: a change of it would move everybody in a rolling upgrade.
func TestHashIsTheSameForEver(t *testing.T) {
	c := memory(t, Hash, 1, 2, 3)
	var list []netip.Addr
	for _, s := range []string{"192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7", "2001:db8::1", "2001:db8::2", "10.0.0.1"} {
		list = append(list, netip.MustParseAddr(s))
	}
	if got := strings.Join(homes(t, c, list), ""); got != "aabccb" {
		t.Errorf("the sources go to %s", got)
	}
}

// Clients without an address, those of Unix sockets, take turns.
func TestHashWithoutSource(t *testing.T) {
	p := opened(t, memory(t, Hash, 1, 1), Options{})
	if got := turns(t, p, 4); got != "abab" {
		t.Errorf("the turns are %s", got)
	}
}

func TestFirst(t *testing.T) {
	c := memory(t, First, 1, 1, 1)
	c.Targets[0].MaxConns = 2
	p := opened(t, c, Options{})
	var got string
	for range 3 {
		got += try(t, p, nobody).Name()
	}
	p.Set("b", Draining)
	got += try(t, p, nobody).Name()
	members(p)[0].Done()
	got += try(t, p, nobody).Name()
	if got != "aabca" {
		t.Errorf("the conns went to %s", got)
	}
}

// Members that were tried come after the others, and before none.
func TestTried(t *testing.T) {
	for b := RoundRobin; b.valid(); b++ {
		p := opened(t, memory(t, b, 1, 100), Options{})
		source := netip.MustParseAddr("192.0.2.1")
		first := try(t, p, source)
		second := try(t, p, source, first)
		if first == second {
			t.Errorf("%v: %s again", b, first.Name())
		}
		if m := p.TryTake(source, first, second); m == nil {
			t.Errorf("%v: all were tried, and there is none", b)
		}
	}
}

// Of all balances, the shares that a stream of short conns has are the weights.
func TestShares(t *testing.T) {
	for _, b := range []Balance{RoundRobin, TwoChoices} {
		p := opened(t, memory(t, b, 1, 2, 3, 4), Options{})
		names := strings.Split(turns(t, p, 10_000), "")
		for i, name := range []string{"a", "b", "c", "d"} {
			want := float64(i+1) / 10
			if b == TwoChoices {
				// Of two that have nothing to do, the heavier one is better.
				if got := share(names, name); i > 0 && got <= share(names, string("abcd"[i-1])) {
					t.Errorf("%v: %s has %.3f", b, name, got)
				}
				continue
			}
			wantShare(t, names, name, want)
		}
	}
}

// A conn that finds a member free costs no memory.
func TestNoAllocations(t *testing.T) {
	source := netip.MustParseAddr("192.0.2.1")
	for b := RoundRobin; b.valid(); b++ {
		for _, weights := range [][]int{{1}, {1, 2, 3}} {
			p := opened(t, memory(t, b, weights...), Options{})
			n := testing.AllocsPerRun(100, func() {
				m := p.TryTake(source)
				m.Dialled(nil, 1)
				m.Done()
			})
			if n != 0 {
				t.Errorf("%v of %d: %v allocations", b, len(weights), n)
			}
		}
	}
}
