package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/tap"
)

// An anyServer is at the address of an admin API, and answers with anything.
type anyServer struct {
	at string

	mu     sync.Mutex
	status int
	body   []byte
}

func newAnyServer(tb testing.TB) *anyServer {
	tb.Helper()
	dir, err := os.MkdirTemp("", "any") // the directories of fuzz tests have names that are too long
	if err != nil {
		tb.Fatal(err)
	}
	s := &anyServer{at: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", s.at)
	if err != nil {
		tb.Fatal(err)
	}
	h := &http.Server{Handler: s}
	served := make(chan struct{})
	go func() { defer close(served); h.Serve(l) }()
	tb.Cleanup(func() {
		h.Close()
		<-served
		os.RemoveAll(dir)
	})
	return s
}

func (s *anyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.WriteHeader(s.status)
	w.Write(s.body)
}

func (s *anyServer) says(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

// asking are the commands that ask an admin API.
var asking = [][]string{
	{"ps"}, {"ps", "--tree"}, {"ps", "x"}, {"ps", "--orphans"}, {"ps", "--json"}, {"inspect", "x"}, {"inspect", "--json", "x"},
	{"kill", "x"}, {"kill", "--json", "x"}, {"drain", "--follow"}, {"drain"}, {"tap", "x"}, {"tap", "--text", "x"},
	{"upstreams"}, {"upstreams", "--json"}, {"upstreams", "up", "a/b"}, {"reload"}, {"reload", "--json"},
	{"stages", "add", "up", "gzip"}, {"stages", "rm", "up", "1", "--json"},
}

// answersTo are what a relayd answers, for a beginning.
func answersTo(tb testing.TB) (list [][]byte) {
	tb.Helper()
	conn := admin.Conn{ID: "9x2k", State: "half-closed", Client: "10.0.0.7:41402", Upstream: "tcp://10.0.0.5:80", Age: 90, Up: admin.Direction{In: 70000, State: "reading", Stages: []string{"gzip"}}}
	tree := []admin.Resource{
		{ID: "1", Kind: "conn", Name: "c9x2k", State: "live"}, {ID: "2", Parent: "1", Kind: "client", Name: "c9x2k.client", State: "draining", Operations: 1},
		{ID: "3", Parent: "2", Kind: "read", Name: "c9x2k.client.read", Orphan: true},
	}
	for _, answer := range []any{
		admin.Conns{Total: 1, Conns: []admin.Conn{conn}},
		admin.ConnDetail{Conn: conn, Resources: tree, ClientEnd: &admin.Socket{Remote: "x", Unsent: 5, TCP: &admin.TCP{State: "close-wait"}}, Why: []string{"it waits"}},
		admin.Resources{Orphans: 1, Resources: tree},
		admin.Kills{Matched: 1, Kills: []admin.Kill{{ID: "9x2k", Client: "x", Released: true, ClientProof: &admin.Proof{Kernel: "gone", Why: "so"}, Holders: tree}}},
		admin.Reload{File: "/etc/relayd.yaml", Routes: admin.Changes{Added: []string{"a"}, Kept: []string{"b"}}},
		admin.StagesChange{Route: &admin.RouteInfo{Name: "default", Up: []string{"gzip"}}, Conns: []admin.ConnChange{{ID: "x", Error: "blocked"}}},
	} {
		text, err := json.Marshal(answer)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, text)
	}
	var stream bytes.Buffer
	e := json.NewEncoder(&stream)
	e.Encode(map[string]any{"conn": tap.Header{ID: "9x2k", Client: "x", Up: []string{"gzip"}}})
	e.Encode(tap.Event{At: time.Unix(1e9, 0), From: "client", Data: []byte("GET /\r\n\x1b[2J")})
	e.Encode(tap.Event{From: "us", End: "eof"})
	return append(list, stream.Bytes(),
		[]byte("event: progress\ndata: {\"draining\": true, \"began_with\": 2, \"live\": 1}\n\n: hello\n\nevent: over\ndata: {\"draining\": true, \"over\": true}\n\n"),
		[]byte(`{"upstreams":[{"name":"a","names":[{"target":"t","host":"h","addresses":0,"error":"none"}],"members":[{"target":"t","address":"tcp://1.2.3.4:5","state":"down","why":"x"}]}]}`),
		[]byte(`{"upstream":"a","members":[{"target":"t","state":"up","weight":1.5}]}`),
		[]byte(`{"error":{"code":"bad_config","message":"a:1:2: \u001b[2J","hint":"\u202e"}}`),
		[]byte(`{"resources":[{"id":"1","parent":"1","orphan":true},{"id":"1","parent":"1","orphan":true}]}`),
		[]byte(`{"state":"\u001b[2J","resources":[{"id":"1","parent":"2"},{"id":"2","parent":"1","state":"\u009b31m"},{"id":"2","parent":"2","name":"a.client.read"}],"up":{"state":"\u001b]0;x\u0007"}}`),
		[]byte(`{"kills":[{"id":"x","released":true,"client_socket":{"kernel":"\u001b[2J"}}]}`), []byte(`{"kills":[]}`), []byte(`{"route":{"name":"\u001b[2J","up":["\u009b"]}}`),
	)
}

// Whoever answers a command, with whatever: what it prints does not steer the
// terminal, is not much more than was said, and it ends.
func FuzzAnswers(f *testing.F) {
	for n, answer := range answersTo(f) {
		for i := n % 3; i < len(asking); i += 3 { // the fuzzer finds the others
			f.Add(uint8(i), answer, false)
		}
		f.Add(uint8(0), answer, true)
		f.Add(uint8(len(asking)), answer, false)
	}
	s := newAnyServer(f)
	f.Fuzz(func(t *testing.T, which uint8, answer []byte, refused bool) {
		status := http.StatusOK
		if refused {
			status = http.StatusConflict
		}
		s.says(status, answer)
		n := int(which) % (len(asking) + 1)
		if n == len(asking) {
			askAsTop(t, s.at)
			return
		}
		args := append([]string{}, asking[n]...)
		var out bytes.Buffer
		realMain(append(args, "--admin", s.at), &out, &out)
		if !isTame(out.String()) {
			t.Errorf("%q prints %q of %q", args, &out, answer)
		}
		if most := 1000*len(answer) + 64<<10; out.Len() > most {
			t.Errorf("%q prints %d bytes of %d", args, out.Len(), len(answer))
		}
	})
}

// askAsTop asks as top does, which makes tame what it draws.
func askAsTop(t *testing.T, at string) {
	t.Helper()
	var f clientFlags
	if err := f.at.Set(at); err != nil {
		t.Fatal(err)
	}
	client, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	source := topSource{client}
	source.Conns(t.Context())
	source.Holders(t.Context(), "x")
	source.Kill(t.Context(), "x")
}

// A tree of resources ends, whatever is said of who is below whom: the parents in
// a circle, each the child of all, or one below the other for ever.
func TestTreesEnd(t *testing.T) {
	var deep, all, circle []admin.Resource
	for i := range 2000 {
		id, parent := strings.Repeat("x", i+1), strings.Repeat("x", i)
		deep = append(deep, admin.Resource{ID: id, Parent: parent, Orphan: true})
		all = append(all, admin.Resource{ID: "a", Parent: "a", Orphan: true})
		circle = append(circle, admin.Resource{ID: string(rune('a' + i%3)), Parent: string(rune('a' + (i+1)%3)), Orphan: true})
	}
	for name, list := range map[string][]admin.Resource{"deep": deep, "all": all, "circle": circle} {
		if n := len(orphanTrees(list)); n > 64<<20 {
			t.Errorf("%s: %d bytes of orphans", name, n)
		}
		if n := len(connTree(&admin.ConnDetail{Resources: list})); n > 1<<20 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}

// One wide cell does not make all the rows wide.
func TestTableOfWideCell(t *testing.T) {
	list := table{{strings.Repeat("x", 1<<20), "y"}}
	for range 1000 {
		list = append(list, []string{"a", "b"})
	}
	if n := len(list.String()); n > 2<<20 {
		t.Errorf("%d bytes", n)
	}
}
