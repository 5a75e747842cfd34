package config

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes is a file with so many listeners, routes and upstreams.
func manyRoutes(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\ntimeouts: {idle: 1h}\nlisteners:\n")
	for i := range n {
		fmt.Fprintf(&b, "  l%d:\n    on: 127.0.0.1:%d\n    route: r%d\n    allow: [10.0.0.0/8, 192.168.0.0/16]\n    limits: {max-conns: 1000}\n", i, 10000+i, i)
	}
	b.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  r%d:\n    upstream: u%d\n    up: [count]\n    timeouts: {half-closed: 1m}\n    send-proxy: v2\n", i, i)
	}
	b.WriteString("upstreams:\n")
	for i := range n {
		fmt.Fprintf(&b, "  u%d:\n    targets: [10.0.0.1:%d, {address: 10.0.0.2:%d, weight: 2}]\n    balance: least-conns\n    check: {every: 2s}\n", i, 10000+i, 10000+i)
	}
	return b.String()
}

// The work grows with the file and not with its square: what is looked at is
// counted by the decoder, and names and addresses by what is allocated.
func TestWorkGrowsWithTheFile(t *testing.T) {
	work := func(n int) float64 {
		text := manyRoutes(n)
		return testing.AllocsPerRun(2, func() {
			c, p := checkText(text)
			if _, err := c.Relay(); len(p.List) > 0 || err != nil {
				t.Fatal(p, err)
			}
		})
	}
	small, large := work(100), work(1000)
	if large > 12*small {
		t.Errorf("100 routes take %.0f allocations, 1000 take %.0f", small, large)
	}
	t.Logf("a route takes %.0f allocations", large/1000)
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		text := manyRoutes(n)
		b.Run(fmt.Sprintf("%d-routes", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c, p := checkText(text)
				if _, err := c.Relay(); len(p.List) > 0 || err != nil {
					b.Fatal(p, err)
				}
			}
		})
	}
}
