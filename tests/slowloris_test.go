package tests

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
)

// A dawdler is a slow client: it says something, then one byte after the other, and
// then nothing; and it never reads.
type dawdler struct {
	door  string
	says  string
	slow  string // bit by bit
	again string // and this for ever
	tls   bool   // says it after a handshake
	want  string // how it ends
}

const (
	pace      = 50 * time.Millisecond // of a byte
	slowGzip  = "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"
	slowZstd  = "\x28\xb5\x2f\xfd\x00\x68"
	slowS2    = "\xff\x06\x00\x00S2sT"
	byIdle    = "idle us"
	byPreface = "preface-timeout client"
	byTLS     = "tls-failed client"
)

func dawdlers(t *testing.T) []dawdler {
	hello := string(clientHello(t))
	pieces := string(fragmented([]byte(hello), 1))
	return []dawdler{
		{door: "tcp4", want: byIdle},
		{door: "tcp4", says: "x", want: byIdle},
		{door: "tcp6", says: "x", want: byIdle},
		{door: "unix", says: "x", want: byIdle},
		{door: "flood", want: "write-stall us"},
		{door: "exec", want: byIdle},
		{door: "exec", says: "x", want: byIdle},
		{door: "tls", want: byTLS},
		{door: "tls", slow: hello, want: byTLS},
		{door: "tls", says: pieces[:len(pieces)/2], want: byTLS},
		{door: "tls", says: pieces, want: byTLS},
		{door: "tls", tls: true, want: byIdle},
		{door: "tls", tls: true, says: "x", want: byIdle},
		{door: "key", want: byTLS},
		{door: "key", says: hello, want: byTLS},
		{door: "key", slow: pieces, want: byTLS},
		{door: "proxy", want: byPreface},
		{door: "proxy", slow: proxyHeader, want: byPreface},
		{door: "proxy", says: proxyHeader[:len(proxyHeader)-1], want: byPreface},
		{door: "proxy", says: proxyHeader, want: byIdle},
		{door: "sni", want: byPreface},
		{door: "sni", slow: hello, want: byPreface},
		{door: "sni", says: pieces[:len(pieces)/2], slow: pieces[len(pieces)/2:], want: byPreface},
		{door: "sni", says: pieces, want: byIdle},
		{door: "proxy and sni", says: proxyHeader, want: byPreface},
		{door: "proxy and sni", says: proxyHeader, slow: hello, want: byPreface},
		{door: "proxy and tls", says: proxyHeader, want: byTLS},
		{door: "proxy and tls", says: proxyHeader, slow: hello, want: byTLS},
		{door: "gunzip", want: byIdle},
		{door: "gunzip", says: slowGzip[:5], want: byIdle},
		{door: "gunzip", slow: slowGzip, again: "n", want: "max-lifetime us"}, // a name
		{door: "unzstd", says: slowZstd[:5], want: byIdle},
		{door: "uns2", slow: slowS2, want: byIdle},
	}
}

// Hundreds of slow clients at every kind of door at once: honest ones are served,
// the slow ones come to an end by the timer that is theirs, and nothing is left of
// them. What trickles moves: where idle would have to see it, only max-lifetime
// ends it, and max-conns bounds it.
func TestSlowloris(t *testing.T) {
	const each = 10
	leak.Check(t)
	leak.Processes(t)
	list := doors(t)
	flood := serve(t, address(t, "127.0.0.1:0"), func(c conn) { io.Copy(c, bytesOf(1, 1<<40)) })
	h := openInn(t, append(list, door{name: "flood", on: "127.0.0.1:0", to: flood.String()}), func(c *relay.Config) {
		for i := range c.Routes {
			c.Listeners[i].PrefaceTimeout = 1500 * time.Millisecond
			c.Routes[i].Timeouts = relay.Timeouts{Idle: 2 * time.Second, WriteStall: 2 * time.Second}
			if c.Routes[i].Name == "gunzip" {
				c.Routes[i].Timeouts.MaxLifetime = 8 * time.Second // long after the idle ones, on a slow machine too
			}
		}
	})
	h.visitAll(t, list)
	goroutines, fds := leak.Count()
	before := held()
	t.Logf("before: %d goroutines, %d descriptors, %d KiB", goroutines, fds, before>>10)

	want, n := make(map[string]map[string]int), 0
	var running sync.WaitGroup
	var all []conn
	for _, d := range dawdlers(t) {
		if !h.has(d.door) { // tcp6
			continue
		}
		if want[d.door] == nil {
			want[d.door] = make(map[string]int)
		}
		for range each {
			want[d.door][d.want]++
			n++
			c := dial(t, h.door(t, d.door))
			all = append(all, c)
			d.begin(t, &running, c)
		}
	}
	h.visitAll(t, list)
	goroutines, fds = leak.Count()
	during := held()
	t.Logf("%d slow ones: %d goroutines, %d descriptors, %d KiB", n, goroutines, fds, during>>10)
	if per := (during - before) / int64(n); per > 64<<10 {
		t.Errorf("each of them is held for with %d KiB, by both sides", per>>10)
	}
	h.visitAll(t, list)

	running.Wait() // with those that trickle for ever
	var got map[string]map[string]int
	until(t, "all have ended", func() bool {
		got = h.reasons()
		return h.Live() == 0
	})
	for door, ends := range want {
		delete(got[door], "eof client") // the honest
		if fmt.Sprint(got[door]) != fmt.Sprint(ends) {
			t.Errorf("%s: they have ended by %v, want %v", door, got[door], ends)
		}
	}
	h.visitAll(t, list)
	for _, c := range all {
		c.Close()
	}
	goroutines, fds = leak.Count()
	t.Logf("after: %d goroutines, %d descriptors, %d KiB", goroutines, fds, held()>>10)
}

// begin has a connection dawdle, and returns when it has said what it says at once.
func (d *dawdler) begin(t *testing.T, running *sync.WaitGroup, c conn) {
	t.Helper()
	to := io.Writer(c)
	if d.tls {
		to = shake(t, c)
	}
	if d.says != "" {
		if _, err := io.WriteString(to, d.says); err != nil {
			t.Errorf("%s: %v", d.door, err)
		}
	}
	running.Go(func() { d.goOn(c) })
}

// goOn sends what is slow, until the connection ends.
func (d *dawdler) goOn(c net.Conn) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for left := d.slow; ; left = left[1:] {
		if left == "" {
			left = d.again
		}
		if left == "" {
			return
		}
		<-tick.C
		if _, err := io.WriteString(c, left[:1]); err != nil {
			return
		}
	}
}

// has reports whether there is such a door.
func (h *inn) has(name string) bool {
	for _, l := range h.Listeners() {
		if strings.EqualFold(l.Name, name) {
			return true
		}
	}
	return false
}
