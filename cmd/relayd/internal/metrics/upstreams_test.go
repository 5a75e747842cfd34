package metrics

import (
	"context"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relayd/relay/upstream"
)

// What a target's address has counted is shown also if the address came and went
// between two scrapes.
func TestCountsOfAddressesThatHaveGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at atomic.Pointer[[]netip.Addr]
		at.Store(&[]netip.Addr{netip.MustParseAddr("10.0.0.1")})
		lookup := func(context.Context, string) ([]netip.Addr, error) { return *at.Load(), nil }
		p, err := upstream.Open(upstream.Config{
			Name: "u", Targets: []upstream.Target{{Name: "db", Address: address(t, "tcp://db.test:5432")}},
		}, upstream.Options{Lookup: lookup})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		c, name := newCollector(nil, nil, nil), targetName{"u", "db"}
		for i := range uint64(3) {
			synctest.Wait()
			m := p.TryTake(netip.Addr{})
			m.Dialled(syscall.ECONNREFUSED, 0)
			if i == 1 { // one that has gone is not over before its last conn
				defer m.Done()
			} else {
				m.Done()
			}
			at.Store(&[]netip.Addr{(*at.Load())[0].Next()})
			<-time.After(time.Minute)
			synctest.Wait()
			known, to := make(map[targetName]*targetCount), make(chan prometheus.Metric, 100)
			u := p.Status()
			c.collectUpstream(to, &u, known)
			if got := known[name].Counts; got.Total != i+1 || got.Failures != i+1 {
				t.Errorf("after %d conns of as many addresses: %+v", i+1, got)
			}
			c.targets = known
		}
	})
}
