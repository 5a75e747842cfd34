package tests

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// What is said at a door that nobody should say there: each connection ends, once,
// with a reason that fits and one line of bounded length, and nothing is left of it.

// garbageSeed makes the random part of it.
const garbageSeed = 9

const headerV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2\x01\xbb\x04\x00\x01."

// nonsense is for every door.
func nonsense(hello string) []string {
	random := rand.New(rand.NewPCG(garbageSeed, 1))
	list := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "\r\n", "\x00", "\xff", "\x1b[2J\a\x1b]0;x\a\r\n",
		"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x01", 40), // SSL 2
		"\x16\x03\x01\x00\x00", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 1<<10), // TLS of bad lengths
		"\x16\x03\x01\x40\x01" + strings.Repeat("\x01", 1<<14), "\x16\x03\x01\x00\x04\x01\xff\xff\xff",
		"\x15\x03\x01\x00\x02\x02\x28", "\x17\x03\x03\x00\x05hello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00",
		hello, proxyHeader, headerV2, proxyHeader + proxyHeader, proxyHeader + hello, headerV2 + "GET / HTTP/1.1\r\n\r\n",
		"\x1f\x8b\x08", "\x28\xb5\x2f\xfd\xff\xff\xff\xff", slowS2,
	}
	for range 40 {
		b := make([]byte, 1+random.IntN(600))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		list = append(list, string(b))
	}
	return list
}

// spoilt are a text cut at each place, or each step of them, and with a bit of a
// byte turned over, with bytes more steps apart.
func spoilt(before, text string, step, flips int) (list []string) {
	random := rand.New(rand.NewPCG(garbageSeed, 2))
	for i := 0; i < len(text); i += step {
		list = append(list, before+text[:i])
		if i%flips == 0 {
			b := []byte(text)
			b[i] ^= 1 << random.IntN(8)
			list = append(list, before+string(b))
		}
	}
	return list
}

// garbage returns what is said at a door, and the reasons that fit, beside those of
// a client who has gone again.
func garbage(d door, hello string) (said []string, fit []string) {
	said = nonsense(hello)
	switch d.name {
	case "tls":
		return append(said, spoilt("", hello, 1, 5)...), []string{"tls-failed", "no-preface", "eof"}
	case "key":
		return append(said, spoilt("", hello, 9, 1)...), []string{"tls-failed", "no-preface", "eof"}
	case "proxy":
		return slices.Concat(said, spoilt("", proxyHeader, 1, 1), spoilt("", headerV2, 1, 1)), []string{"bad-preface", "no-preface", "eof"}
	case "sni":
		return append(said, spoilt("", hello, 1, 5)...), []string{"bad-preface", "no-preface", "eof"}
	case "proxy and sni":
		return append(said, spoilt(proxyHeader, hello, 9, 1)...), []string{"bad-preface", "no-preface", "eof"}
	case "proxy and tls":
		return append(said, spoilt(headerV2, hello, 9, 1)...), []string{"bad-preface", "no-preface", "tls-failed", "eof"}
	case "gunzip", "unzstd", "uns2":
		return said, []string{"stage-failed", "eof"}
	case "exec":
		return said[:30], []string{"eof", "reset-upstream"}
	}
	return said, []string{"eof"}
}

func TestGarbage(t *testing.T) {
	leak.Check(t)
	leak.Processes(t)
	list := doors(t)
	h := openInn(t, list, func(c *relay.Config) {
		for i := range c.Routes {
			c.Routes[i].Timeouts.Linger = time.Second
		}
	})
	h.visitAll(t, list)
	t.Logf("seed %d", garbageSeed)
	hello := string(clientHello(t))
	fit, n := make(map[string][]string), int64(0)
	var running sync.WaitGroup
	atOnce := make(chan struct{}, 32)
	for _, d := range list {
		said, reasons := garbage(d, hello)
		fit[d.name] = append(reasons, "reset-client")
		for i, text := range append(said, "") {
			atOnce <- struct{}{}
			c := dial(t, h.door(t, d.name))
			n++
			running.Go(func() {
				babble(c, text, i)
				<-atOnce
			})
		}
	}
	running.Wait()
	until(t, "all have ended", func() bool { return h.Live() == 0 })
	h.wantFitting(t, fit)
	h.visitAll(t, list)
	t.Logf("%d connections said something wrong: %v", n, h.reasons())
}

// babble says something, and goes in one of three ways.
func babble(c conn, text string, how int) {
	io.WriteString(c, text)
	tcp, ok := c.(*net.TCPConn)
	switch {
	case how%3 == 0 && ok:
		tcp.SetLinger(0)
	case how%3 == 1:
		c.CloseWrite()
		io.Copy(io.Discard, plain{c}) // what is answered, and an end
	}
	c.Close()
}

// maxLine is more than any line about a conn has.
const maxLine = 1 << 10

// wantFitting wants as many ends as conns, each with a reason that fits its door and
// with a line that is no longer than need be, and nothing worse in the log.
func (h *inn) wantFitting(t *testing.T, fit map[string][]string) {
	t.Helper()
	st := h.Stats()
	ended := int64(0)
	for _, n := range st.Ended {
		ended += n
	}
	if ended != st.Accepted {
		t.Errorf("%d conns have ended of %d", ended, st.Accepted)
	}
	ids := make(map[string]bool)
	for _, r := range h.log.wait(t, "conn ended", int(ended)) {
		if ids[r.text("id")] {
			t.Errorf("conn %s has ended twice", r.text("id"))
		}
		ids[r.text("id")] = true
		if !slices.Contains(fit[r.text("listener")], r.text("reason")) {
			t.Errorf("at %s one ended by %s (%s)", r.text("listener"), r.text("reason"), r.text("err"))
		}
		if n := len(fmt.Sprint(r.attrs)); n > maxLine {
			t.Errorf("a line has %d bytes: %v", n, r.attrs)
		}
	}
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	for _, r := range h.log.records {
		if r.level >= slog.LevelError {
			t.Errorf("the log says %s %v", r.message, r.attrs)
		}
	}
}

// Thousands who talk nonsense cost the log a few lines, and it says how many it has
// left out.
func TestGarbageFlood(t *testing.T) {
	const n, rate = 2000, 50
	leak.Check(t)
	list := doors(t)[2:4] // tls and proxy
	h := openInn(t, list, func(c *relay.Config) { c.LogRate = rate })
	began := time.Now()
	var running sync.WaitGroup
	for worker := range 20 {
		running.Go(func() {
			for i := range n / 20 {
				kind, at := network(h.Listeners()[(worker+i)%2].Address)
				c, err := net.Dial(kind, at)
				if err != nil {
					t.Error(err)
					return
				}
				babble(c.(conn), "GET / HTTP/1.1\r\n\r\n", 1)
			}
		})
	}
	running.Wait()
	h.visitAll(t, list)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if r, err := h.Drain(ctx); err != nil || r.Cut > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	ended, _ := h.log.find("conn ended")
	most := 2 * rate * (int(time.Since(began).Seconds()) + 2) // warnings, and others
	left := h.Stats().Unlogged
	if len(ended) > most || int64(len(ended))+left < n {
		t.Errorf("%d lines, and %d left out", len(ended), left)
	}
	said := int64(0)
	out, _ := h.log.find("conn lines left out")
	for _, r := range out {
		said += r.attrs["conns"].Int64()
	}
	if said != left {
		t.Errorf("%d lines are said to be left out of %d", said, left)
	}
}

// Headers that lie, and what comes of it.
func TestLyingProxyHeaders(t *testing.T) {
	leak.Check(t)
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	const ends = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\xd2\x01\xbb"
	list := []door{{name: "proxy", on: "127.0.0.1:0", proxy: true}, {name: "others", on: "127.0.0.1:0", proxy: true}, {name: "wary", on: "127.0.0.1:0", proxy: true}}
	h := openInn(t, list, func(c *relay.Config) {
		c.Listeners[0].PrefaceTimeout = 300 * time.Millisecond
		c.Listeners[1].ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:10.0.0.0/104")}
		c.Listeners[2].Deny = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	for name, tt := range map[string]struct {
		at, said string
		want     string // how it ends, before a byte is relayed
		answer   string // or what is echoed
		client   string // who it then is; "" is who it was
	}{
		"not trusted":           {at: "others", said: proxyHeader + "x", answer: proxyHeader + "x"},
		"not trusted, v2":       {at: "others", said: headerV2 + "x", answer: headerV2 + "x"},
		"denied by its name":    {at: "wary", said: proxyHeader, want: "denied us"},
		"denied, mapped":        {at: "wary", said: "PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n", want: "denied us"},
		"LOCAL":                 {said: v2 + "\x20\x00\x00\x00x", answer: "x"},
		"LOCAL with addresses":  {said: v2 + "\x20\x11\x00\x0c" + ends + "x", answer: "x"},
		"LOCAL with nonsense":   {said: v2 + "\x20\xff\x00\x03\xff\xff\xffx", answer: "x"},
		"UNKNOWN":               {said: "PROXY UNKNOWN 1 2 3\r\nx", answer: "x"},
		"of no family":          {said: v2 + "\x21\x00\x00\x00x", answer: "x"},
		"TLVs":                  {said: headerV2 + "x", answer: "x", client: "192.0.2.1:1234"},
		"two of them":           {said: proxyHeader + headerV2, answer: headerV2, client: "192.0.2.1:1234"},
		"longer than what came": {said: v2 + "\x21\x11\x00\x40" + ends, want: byPreface},
		"shorter than needed":   {said: v2 + "\x21\x11\x00\x0b" + ends, want: "bad-preface client"},
		"longer than allowed":   {said: v2 + "\x21\x11\xff\xff" + ends, want: "bad-preface client"},
		"a TLV that overruns":   {said: v2 + "\x21\x11\x00\x10" + ends + "\x04\xff\xff.", want: "bad-preface client"},
		"half a TLV":            {said: v2 + "\x21\x11\x00\x0e" + ends + "\x04\x00", want: "bad-preface client"},
		"an unknown family":     {said: v2 + "\x21\x41\x00\x0c" + ends, want: "bad-preface client"},
		"an unknown command":    {said: v2 + "\x22\x11\x00\x0c" + ends, want: "bad-preface client"},
		"version 3":             {said: v2 + "\x31\x11\x00\x0c" + ends, want: "bad-preface client"},
		"another family":        {said: "PROXY TCP4 ::1 ::1 1 2\r\n", want: "bad-preface client"},
		"a port too large":      {said: "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n", want: "bad-preface client"},
		"a name for an address": {said: "PROXY TCP4 localhost 192.0.2.2 1 1\r\n", want: "bad-preface client"},
		"a line without end":    {said: "PROXY UNKNOWN " + strings.Repeat("x", 200), want: "bad-preface client"},
		"none":                  {said: "x", want: "bad-preface client"},
	} {
		before := len(h.ended())
		at := tt.at
		if at == "" {
			at = "proxy"
		}
		c := dial(t, h.door(t, at))
		if _, err := io.WriteString(c, tt.said); err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			got := make([]byte, len(tt.answer))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != tt.answer {
				t.Errorf("%s: %q is answered, %v", name, got, err)
			}
			c.Close()
			tt.want = "eof client"
		} else if n, err := c.Read(make([]byte, 1)); n > 0 || !socket.IsReset(err) {
			t.Errorf("%s: the client reads %d, %v; want a reset", name, n, err)
		}
		until(t, "it has ended", func() bool { return len(h.ended()) > before })
		end := h.ended()[before]
		if tt.client == "" && !strings.HasPrefix(tt.want, "denied") {
			tt.client = c.LocalAddr().String()
		}
		if got := end.text("reason") + " " + end.text("first_closer"); got != tt.want || tt.client != "" && end.text("client") != tt.client {
			t.Errorf("%s: it ended by %s, of %s (%s); want %s of %s", name, got, end.text("client"), end.text("err"), tt.want, tt.client)
		}
	}
}

// ended returns the lines of the conns that have ended.
func (h *inn) ended() []record {
	found, _ := h.log.find("conn ended")
	return found
}
