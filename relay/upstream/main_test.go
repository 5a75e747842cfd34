package upstream

import (
	"fmt"
	"net/netip"
	"testing"

	"relayd/socket"
	"relayd/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func address(t testing.TB, text string) socket.Address {
	t.Helper()
	a, err := socket.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// memory returns a configuration with targets that need no network: a, b, c, ...
// with these weights.
func memory(t testing.TB, b Balance, weights ...int) Config {
	c := Config{Name: "test", Balance: b}
	for i, w := range weights {
		c.Targets = append(c.Targets, Target{Name: fmt.Sprintf("%c", 'a'+i), Address: address(t, "echo:"), Weight: w})
	}
	return c
}

// opened opens a pool, whose end is the test's.
func opened(t testing.TB, c Config, o Options) *Pool {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = 1
	}
	p, err := Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// try is TryTake and its dial, which is good.
func try(t testing.TB, p *Pool, source netip.Addr, tried ...*Member) *Member {
	t.Helper()
	m := p.TryTake(source, tried...)
	if m == nil {
		t.Fatalf("no member is free: %+v", p.Status())
	}
	m.Dialled(nil, 0)
	return m
}

var nobody netip.Addr

// members are those that the pool has now: lookups change them.
func members(p *Pool) []*Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members
}

// member returns what Status says about a member.
func member(t testing.TB, p *Pool, name string) MemberStatus {
	t.Helper()
	for _, m := range p.Status().Members {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("there is no member %q: %+v", name, p.Status().Members)
	return MemberStatus{}
}

func wantState(t testing.TB, p *Pool, name string, want State) {
	t.Helper()
	if m := member(t, p, name); m.State != want {
		t.Errorf("%s is %v (%s), want %v", name, m.State, m.Why, want)
	}
}
