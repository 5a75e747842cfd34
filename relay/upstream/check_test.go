package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relayd/socket"
	"relayd/tests/leak"
)

// A health is what the checks of a test come to.
type health struct {
	mu    sync.Mutex
	sick  map[string]bool
	when  []time.Time
	now   int // checks under way
	most  int
	takes time.Duration
}

func (h *health) set(name string, sick bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sick == nil {
		h.sick = make(map[string]bool)
	}
	h.sick[name] = sick
}

func (h *health) probe(ctx context.Context, m *Member) error {
	h.mu.Lock()
	h.when = append(h.when, time.Now())
	h.now++
	h.most = max(h.most, h.now)
	sick, takes := h.sick[m.Name()], h.takes
	h.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	h.mu.Lock()
	h.now--
	h.mu.Unlock()
	if sick {
		return errors.New("sick")
	}
	return ctx.Err()
}

func TestRiseAndFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		c := memory(t, RoundRobin, 1, 1)
		c.Check = Check{On: true, Every: 10 * time.Second, Rise: 2, Fall: 3}
		told := make(chan string, 10)
		p := opened(t, c, Options{probe: h.probe, OnDown: func(m *Member, s State, why string) {
			told <- m.Name() + " " + s.String() + " " + why
		}})
		// A member that was not asked yet gets conns.
		wantState(t, p, "a", Starting)
		if got := turns(t, p, 2); got != "ab" {
			t.Errorf("before the first check the turns are %s", got)
		}
		after(2 * time.Second)
		wantState(t, p, "a", Up)
		h.set("a", true)
		after(25 * time.Second) // two checks: they come every 9 to 11s
		wantState(t, p, "a", Up)
		after(10 * time.Second)
		wantState(t, p, "a", Down)
		if got, want := <-told, "a down check failed: sick"; got != want {
			t.Errorf("OnDown was told %q, want %q", got, want)
		}
		if m := member(t, p, "a"); m.CheckErr != "sick" || m.Checked.IsZero() {
			t.Errorf("its status: %+v", m)
		}
		if got := turns(t, p, 2); got != "bb" {
			t.Errorf("with a down the turns are %s", got)
		}
		h.set("a", false)
		after(11 * time.Second)
		wantState(t, p, "a", Down)
		after(11 * time.Second)
		wantState(t, p, "a", Up)
		// The last one goes down too: checks are believed.
		h.set("a", true)
		h.set("b", true)
		after(45 * time.Second)
		if _, err := p.Take(t.Context(), nobody); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "a is down: check failed: sick") {
			t.Errorf("with none: %v", err)
		}
	})
}

// The first check decides at once.
func TestFirstCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		h.set("b", true)
		c := memory(t, RoundRobin, 1, 1)
		c.Check = Check{On: true, Every: time.Minute}
		p := opened(t, c, Options{probe: h.probe})
		after(2 * time.Second)
		wantState(t, p, "a", Up)
		wantState(t, p, "b", Down)
	})
}

// Many checks do not come at once, neither the first ones nor the later ones,
// and however long they take, so many are under way and no more.
func TestManyChecks(t *testing.T) {
	for _, takes := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := health{takes: takes}
			c := memory(t, RoundRobin, slices.Repeat([]int{1}, 1000)...)
			for i := range c.Targets {
				c.Targets[i].Name = fmt.Sprint(i)
			}
			c.Check = Check{On: true, Every: 10 * time.Second}
			p := opened(t, c, Options{probe: h.probe})
			after(50 * time.Second)
			p.Close()
			busiest := make(map[int64]int)
			for _, at := range h.when {
				busiest[at.UnixMilli()/100]++
			}
			for at, n := range busiest {
				if n > 40 { // 10 on average
					t.Errorf("%d checks in one tenth of a second, %d", n, at)
				}
			}
			if h.most > maxChecks {
				t.Errorf("%d were under way, %d may be", h.most, maxChecks)
			}
			if n := len(h.when); takes == 0 && (n < 4000 || n > 6000) || takes > 0 && n < 45*maxChecks {
				t.Errorf("%d checks in 50s", n)
			}
		})
	}
}

// Checks under way when the pool is closed are canceled.
func TestCloseEndsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health{takes: time.Hour}
		c := memory(t, RoundRobin, 1)
		c.Check = Check{On: true, Timeout: 2 * time.Hour}
		p := opened(t, c, Options{probe: h.probe})
		after(2 * time.Second)
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 0 || h.now > 0 {
			t.Errorf("it took %v, and %d checks are under way", took, h.now)
		}
	})
}

// serve has f serve each connection to a port, until the test ends.
func serve(t testing.TB, at string, f func(net.Conn)) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

// What a check asks, and what it makes of the answer.
func TestProbe(t *testing.T) {
	redis := func(c net.Conn) {
		b := make([]byte, 6)
		if _, err := io.ReadFull(c, b); err == nil && string(b) == "PING\r\n" {
			io.WriteString(c, "+PO")
			io.WriteString(c, "NG\r\n")
			io.Copy(io.Discard, c)
		}
	}
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	for name, c := range map[string]struct {
		server       func(net.Conn)
		send, expect string
		want         string // in the error
	}{
		"connect":               {silent, "", "", ""},
		"send":                  {silent, "hello", "", ""},
		"banner":                {says("SSH-2.0-x\r\n"), "", "SSH-2.0", ""},
		"question":              {redis, `PING\r\n`, `+PONG\r\n`, ""},
		"another answer":        {says("-LOADING\r\n"), `PING\r\n`, "+PONG", `"+PONG" is not in the answer "-LOADING\r\n": context deadline`},
		"no answer":             {silent, `PING\r\n`, "+PONG", "is not in the answer \"\": context deadline exceeded"},
		"an end":                {func(net.Conn) {}, "", "+PONG", `"+PONG" is not in the answer ""`},
		"an end after a word":   {func(c net.Conn) { io.WriteString(c, "no") }, "", "+PONG", `is not in the answer "no"`},
		"a flood":               {says(strings.Repeat("x", 1<<20)), "", "+PONG", "is not in the first 16384 bytes"},
		"an answer that is far": {says(strings.Repeat("x", 5000) + "+PONG"), "", "+PONG", ""},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			ln := serve(t, "127.0.0.1:0", c.server)
			config := Config{Name: "test", Targets: []Target{{Address: address(t, ln.Addr().String())}}}
			config.Check = Check{Send: c.send, Expect: c.expect}
			p := opened(t, config, Options{})
			timeout := 10 * time.Second
			if strings.Contains(c.want, "deadline") {
				timeout = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := probe(ctx, members(p)[0])
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if err != nil && c.want != "" && !blames(err) {
				t.Errorf("%v is held against nobody", err)
			}
			p.Close()
		})
	}
	// Sockets of memory have no deadlines, and can be checked all the same.
	config := memory(t, RoundRobin, 1)
	config.Check = Check{Send: "ping", Expect: "pong"}
	p := opened(t, config, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := probe(ctx, members(p)[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an echo said %v", err)
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "abc": "abc", `PING\r\n`: "PING\r\n", `\x00\xff\\`: "\x00\xff\\", `a"b'c`: `a"b'c`, `\"\'`: `"'`, "é": "é", `\u00e9`: "é", "\xff": "\xff",
	} {
		if got, err := unescape(text); string(got) != want || err != nil {
			t.Errorf("%q becomes %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`\`, `a\q`, `\x`, `\xg0`, strings.Repeat("x", maxText+1)} {
		if got, err := unescape(text); err == nil {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// A server is checked, dies, and comes back.
func TestCheckOfAServer(t *testing.T) {
	leak.Check(t)
	ln := serve(t, "127.0.0.1:0", says("hello"))
	at := ln.Addr().String()
	states := make(chan State, 16)
	c := Config{Name: "test", Targets: []Target{{Name: "a", Address: address(t, at)}, {Name: "b", Address: address(t, "echo:")}}}
	c.Check = Check{On: true, Every: 5 * time.Millisecond, Rise: 1, Fall: 1}
	p := opened(t, c, Options{OnDown: func(m *Member, s State, _ string) {
		if m.Name() == "a" {
			states <- s
		}
	}})
	ln.Close()
	if s := <-states; s != Down {
		t.Fatalf("it is %v", s)
	}
	serve(t, at, says("hello"))
	wait(t, p, func() bool { return member(t, p, "a").State == Up })
	if m := member(t, p, "a"); m.CheckErr != "" || m.Why != "no longer down" {
		t.Errorf("its status: %+v", m)
	}
	p.Close()
}

// wait waits until something holds of a pool: after each of its lines in the log
// or at once.
func wait(t testing.TB, p *Pool, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came to this: %+v", p.Status())
		}
	}
}

// The sockets of checks stand below the pool, and go with it.
func TestChecksAreInTheTree(t *testing.T) {
	leak.Check(t)
	ln := serve(t, "127.0.0.1:0", func(c net.Conn) { io.Copy(io.Discard, c); io.Copy(io.Discard, c) })
	c := Config{Name: "test", Targets: []Target{{Address: address(t, ln.Addr().String())}}}
	p := opened(t, c, Options{})
	if err := probe(t.Context(), members(p)[0]); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if s := p.node.State().String(); s != "released" {
		t.Errorf("the pool is %s", s)
	}
	if err := probe(t.Context(), members(p)[0]); err == nil || socket.IsTimeout(err) {
		t.Errorf("a check after the end: %v", err)
	}
}

// Checks that bring a member up end its ejection too.
func TestCheckEndsEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		c := memory(t, RoundRobin, 1, 1)
		c.Check = Check{On: true, Every: time.Second, Rise: 1, Fall: 1}
		c.Eject = Eject{Fails: 1, Time: time.Hour, Max: time.Hour}
		p := opened(t, c, Options{probe: h.probe})
		after(3 * time.Second)
		fail(members(p)[0], 1, errDial)
		after(3 * time.Second)
		wantState(t, p, "a", Ejected) // good checks alone do not
		h.set("a", true)
		after(3 * time.Second)
		wantState(t, p, "a", Down)
		h.set("a", false)
		after(3 * time.Second)
		wantState(t, p, "a", Up)
	})
}
