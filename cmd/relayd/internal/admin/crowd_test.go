package admin

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relayd/tests/leak"
)

// Crowds of the API's clients that send slowly, or without end, or never read what
// they have asked for.

const (
	ask      = "GET /v1/conns HTTP/1.1\r\nHost: x\r\n"
	tell     = "POST /v1/kill HTTP/1.1\r\nHost: x\r\n"
	length   = "Content-Length: 100\r\n"
	anywhere = "Origin: http://evil.example\r\n"
	get      = " HTTP/1.1\r\nHost: x\r\n\r\n"
)

// A habit is what one in a crowd does, who reads nothing.
type habit struct {
	tcp   bool   // without a token
	sent  string // to begin with
	again string // and then this, until it is let go
	rests bool   // it may stay: what it had asked is over
	stays bool   // what it has asked goes on
}

var habits = map[string]habit{
	"nothing":               {},
	"headers that stop":     {sent: ask + "X-"},
	"headers without end":   {sent: ask, again: "X-Endless: " + strings.Repeat("x", 1000) + "\r\n"},
	"headers bit by bit":    {sent: ask + "X: ", again: "x"},
	"no body":               {sent: tell + length + "\r\n"},
	"no body that is read":  {sent: ask + length + "\r\n"},
	"no chunk that is read": {sent: ask + "Transfer-Encoding: chunked\r\n\r\n"},
	"bodies bit by bit":     {sent: tell + "Content-Length: 1000000\r\n\r\n", again: " "},
	"bodies without end":    {sent: tell + "Transfer-Encoding: chunked\r\n\r\n", again: "400\r\n" + strings.Repeat(" ", 0x400) + "\r\n"},
	"a page's body":         {sent: tell + anywhere + length + "\r\n"},
	"no token, no body":     {tcp: true, sent: tell + length + "\r\n"},
	"no token, pages":       {tcp: true, sent: strings.Repeat(ask+anywhere+"\r\n", 2000)},
	"unread pages":          {sent: strings.Repeat(ask+anywhere+"\r\n", 2000)},
	"unread answers":        {sent: strings.Repeat("GET /v1/openapi.yaml"+get, 100), rests: true},
	"unread metrics":        {sent: strings.Repeat("GET /metrics"+get, 100), rests: true},
	"unread profiles":       {sent: strings.Repeat("GET /debug/pprof/allocs"+get, 2), rests: true},
	"streams":               {sent: "GET /v1/drain HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", stays: true},
}

// Whatever crowds do, others are answered in the meantime, and those that wait for
// nothing that could come are let go: of each of what once kept others out, more
// than there is room for, and then all at once.
func TestCrowds(t *testing.T) {
	for _, name := range []string{"no body that is read", "no token, no body", "unread pages", "unread answers", "streams"} {
		t.Run(name, func(t *testing.T) { testCrowd(t, 200, habits[name]) })
	}
	t.Run("all", func(t *testing.T) { testCrowd(t, 15, slices.Collect(maps.Values(habits))...) })
}

func testCrowd(t *testing.T, each int, habits ...habit) {
	leak.Check(t)
	const token = "0123456789abcdef"
	r := start(t, Listen{Address: address(t, "127.0.0.1:0"), Token: token})
	before := heap()
	var running sync.WaitGroup
	var stay, rest []net.Conn
	for range each {
		for _, h := range habits {
			c := r.knock(t, h.tcp)
			if h.stays {
				stay = append(stay, c)
			} else if h.rests {
				rest = append(rest, c)
			}
			running.Go(func() { h.follow(c) })
		}
	}
	for range 10 {
		for _, l := range r.api.listeners {
			one := client(t, l.on.Addr(), token)
			if _, err := one.Conns(t.Context(), nil); err != nil {
				t.Errorf("ps: %v", err)
			}
			one.Close()
		}
	}
	goroutines, fds := leak.Count()
	held := heap() - before
	t.Logf("%d conns: %d KiB are held, in all %d goroutines and %d descriptors", each*len(habits), held>>10, goroutines, fds)
	if held > 32<<20 {
		t.Errorf("%d MiB more are held than before", held>>20)
	}
	hangUp(stay)
	for _, l := range r.api.listeners {
		until(t, "nothing is under way", func() bool { return l.busy() == 0 })
	}
	hangUp(rest)
	running.Wait()
	for _, l := range r.api.listeners {
		until(t, "all are let go", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.list) == 0 && len(l.slots.requests)+len(l.slots.streams) == 0
		})
	}
}

// knock connects to the API.
func (r *rig) knock(t *testing.T, tcp bool) net.Conn {
	t.Helper()
	network, at := "unix", r.api.Addrs()[0].Path
	if tcp {
		network, at = "tcp", strings.TrimPrefix(r.api.Addrs()[1].String(), "tcp://")
	}
	c, err := net.Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// busy returns how many peers have asked something that is not over.
func (h *peers) busy() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.list {
		if c.asking {
			n++
		}
	}
	return n
}

// follow sends until it is let go, and reads nothing.
func (h *habit) follow(c net.Conn) {
	if _, err := io.WriteString(c, h.sent); err != nil {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for h.again != "" {
		<-tick.C
		if _, err := io.WriteString(c, h.again); err != nil {
			return
		}
	}
}

// until waits for what nobody announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%v later still not: %s", patience, what)
		}
	}
}

// heap returns how much of the heap is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// Watchers who take all that they may keep no admin out, and streams take no
// place of what is answered at once.
func TestRoomIsApart(t *testing.T) {
	r := start(t)
	l := r.api.listeners[0]
	for range maxStreams {
		l.slots.streams <- struct{}{}
	}
	if status, text := r.do(t, "GET", "/v1/conns", ""); status != 200 {
		t.Errorf("beside streams: %d %s", status, text)
	}
	answer := r.ask(t, "GET", "/v1/drain", "", map[string][]string{"Accept": {"text/event-stream"}})
	answer.Body.Close()
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one stream too many is answered with %s", answer.Status)
	}
	for range maxStreams {
		<-l.slots.streams
	}
	other := &listener{s: r.api, slots: newSlots()}
	for range maxRequests {
		other.slots.requests <- struct{}{}
	}
	if status, _ := r.do(t, "GET", "/v1/conns", ""); status != 200 {
		t.Errorf("beside another listener that is busy: %d", status)
	}
}

// A watcher of a conn who never reads stalls neither the conn nor the API, and is
// left when his time is up.
func TestUnreadTap(t *testing.T) {
	leak.Check(t)
	r := start(t)
	c, info := r.one(t)
	watcher, err := net.Dial("unix", r.api.Addrs()[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	io.WriteString(watcher, "GET /v1/conns/"+info.ID+"/tap HTTP/1.1\r\nHost: x\r\n\r\n")
	l := r.api.listeners[0]
	until(t, "the tap begins", func() bool { return len(l.slots.streams) == 1 })
	piece := bytes.Repeat([]byte("piece"), 10_000)
	for n := 0; len(l.slots.streams) > 0; n++ { // it ends when it does not take what is sent
		if n == 20_000 {
			t.Fatal("the tap goes on")
		}
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(piece))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.client.Conns(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// Who asks when all slots are taken has those cut that do not take their answers,
// and nobody who has just begun to write: that one may wait for a processor.
func TestStuckMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{slots: newSlots()}
		for range maxRequests {
			l.slots.requests <- struct{}{}
		}
		long := int64(time.Since(epoch) - time.Hour)
		peers := map[string]*peer{"quick": {asking: true}, "slow": {asking: true}, "long": {asking: true, long: true}, "idle": {}}
		for _, c := range peers {
			near, far := net.Pipe()
			defer far.Close()
			c.Conn, c.of = near, &l.peers
			l.list = append(l.list, c)
		}
		began := time.Now()
		var cut time.Duration
		var writing sync.WaitGroup
		writing.Go(func() {
			peers["slow"].Write([]byte("answer"))
			cut = time.Since(began)
			<-l.slots.requests
		})
		stop := make(chan struct{})
		writing.Go(func() { peers["quick"].writeAgain(stop) })
		peers["long"].stuck.Store(long)
		peers["idle"].stuck.Store(long)
		if !l.enter(t.Context(), l.slots.requests, true) {
			t.Error("there is no room")
		}
		if len(l.slots.requests) != maxRequests {
			t.Errorf("%d requests are under way", len(l.slots.requests))
		}
		if cut < stuckTime || cut > stuckTime+stuckEvery || len(l.list) != 3 || slices.Contains(l.list, peers["slow"]) {
			t.Errorf("who waits was cut after %v, and %d are left", cut, len(l.list))
		}
		began = time.Now()
		if l.enter(t.Context(), l.slots.requests, true) || time.Since(began) != roomTime || len(l.list) != 3 {
			t.Errorf("after %v there is room where nobody left, and of three conns there are %d", time.Since(began), len(l.list))
		}
		close(stop)
		writing.Wait()
	})
}

// writeAgain is in a Write most of the time, and in none for long.
func (c *peer) writeAgain(stop <-chan struct{}) {
	for {
		c.stuck.Store(int64(time.Since(epoch)))
		select {
		case <-stop:
			return
		case <-time.After(stuckTime / 2):
		}
	}
}

// While others become idle, which takes them to the end of the list, who comes is
// still taken: there is always one that is idle.
func TestNewcomersBesideIdlers(t *testing.T) {
	var h peers
	for range maxClients {
		h.hold(closed{})
	}
	stop := make(chan struct{})
	var turning sync.WaitGroup
	turning.Go(func() { h.turnAll(stop) })
	for i := range 20_000 {
		if h.hold(closed{}) == nil {
			t.Errorf("the %dth newcomer is refused", i)
			break
		}
	}
	close(stop)
	turning.Wait()
	if len(h.list) != maxClients {
		t.Errorf("%d are held", len(h.list))
	}
}

// turnAll makes everybody in the list idle, again and again.
func (h *peers) turnAll(stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		h.mu.Lock()
		c := h.list[i%len(h.list)]
		h.mu.Unlock()
		h.turned(c, http.StateIdle)
	}
}

// A closed conn can only be closed.
type closed struct{ net.Conn }

func (closed) Close() error { return nil }

// Who has just been served is not the next to make room, however long he was idle
// before: what he was answered may be on its way to him still.
func TestServedIsNotFirstToGo(t *testing.T) {
	var h peers
	for range maxClients {
		h.hold(closed{})
	}
	served, idle := h.list[0], h.list[1]
	served.asks(true, false)
	served.asks(false, false)
	if h.hold(closed{}) == nil || !slices.Contains(h.list, served) || slices.Contains(h.list, idle) {
		t.Error("a newcomer takes the place of who was served just now")
	}
}

// Who has asked for conns to finish and has gone takes no place of others, however
// long the conns take.
func TestRoomOfThoseWhoHaveGone(t *testing.T) {
	r := start(t)
	_, one := r.one(t) // which does not end by itself
	gone, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range maxRequests {
		asking.Go(func() {
			r.client.Kill(gone, KillRequest{IDs: []string{one.ID}, How: "fin", Within: 60})
		})
	}
	l := r.api.listeners[0]
	until(t, "all have asked", func() bool { return len(l.slots.requests) == maxRequests })
	leave()
	asking.Wait()
	if status, text := r.do(t, "GET", "/v1/conns", ""); status != 200 {
		t.Errorf("when they have gone: %d %s", status, text)
	}
	if list := r.relay.Conns(); len(list) != 1 {
		t.Errorf("%d conns live, want the one that finishes", len(list))
	}
}
