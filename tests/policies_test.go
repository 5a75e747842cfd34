package tests

import (
	"context"
	"testing"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/tests/leak"
)

// The relay drops in an order that is right under every policy, so that none of
// them makes a difference to who talks through it.
func TestPolicies(t *testing.T) {
	for _, p := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block} {
		t.Run(p.String(), func(t *testing.T) {
			leak.Check(t)
			for _, chain := range append(tunnels, tunnel{}) {
				far := startRelay(t, relay.Config{
					To:     serve(t, address(t, "127.0.0.1:0"), echo),
					Up:     stages(t, chain.unwrap),
					Down:   stages(t, chain.wrap),
					Policy: p,
				})
				checkPolicy(t, startRelay(t, relay.Config{
					To:     far.addr(),
					Up:     stages(t, chain.wrap),
					Down:   stages(t, chain.unwrap),
					Policy: p,
				}))
			}
		})
	}
}

func checkPolicy(t *testing.T, r *relayd) {
	t.Helper()
	clean, broken, left := dial(t, r.addr()), dial(t, r.addr()), dial(t, r.addr())
	for _, c := range []conn{clean, broken, left} {
		exchange(t, c, "hello")
	}
	finish(t, clean, "")
	reset(t, broken)
	got := r.log.ends(t, 2)
	if got["eof client"] != 1 || got["reset-client client"] != 1 {
		t.Errorf("ends: %v", got)
	}
	now, stop := context.WithCancel(t.Context())
	stop()
	wantDrained(t, beginDrain(now, r), 1)
	wantReset(t, left, 0)
	if got := r.log.ends(t, 3); got["drained us"] != 1 {
		t.Errorf("ends: %v", got)
	}
}
