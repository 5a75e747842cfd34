package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
)

// Whatever is wrong with a request is said, and changes nothing.
func TestStrictInput(t *testing.T) {
	r := start(t)
	_, info := r.one(t)
	conn := "/v1/conns/" + info.ID
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/", "", 404, "there is no /"},
		{"GET", "/v1/nothing", "", 404, "there is no /v1/nothing"},
		{"GET", "/v1/conns/", "", 404, "there is no"},
		{"GET", "/v1/conns/nobody", "", 404, `no conn \"nobody\"`},
		{"GET", "/v1/conns/nobody/tap", "", 404, `no conn \"nobody\"`},
		{"DELETE", "/v1/conns/nobody", "", 404, `no conn \"nobody\"`},
		{"POST", "/v1/conns", "", 405, "it takes GET"},
		{"DELETE", "/v1/conns", "", 405, "it takes GET"},
		{"GET", "/v1/kill", "", 405, "it takes POST"},
		{"BREW", conn, "", 405, "BREW is not for"},
		{"GET", "/v1/conns?stat=open", "", 400, `unknown parameter \"stat\"`},
		{"GET", "/v1/conns?state=opn", "", 400, "no such state"},
		{"GET", "/v1/conns?state=open&state=open", "", 400, "given 2 times"},
		{"GET", "/v1/conns?client=10.0.0/8", "", 400, "not an address"},
		{"GET", "/v1/conns?older-than=-1s", "", 400, "not a time"},
		{"GET", "/v1/conns?idle-for=5", "", 400, "not a time"},
		{"GET", "/v1/conns?route=other", "", 400, "no such route"},
		{"GET", "/v1/conns?all=false", "", 400, "only be true"},
		{"GET", "/v1/conns?%zz", "", 400, "the query cannot be read"},
		{"GET", "/v1/conns", "{}", 400, "takes no body"},
		{"GET", conn + "?x=1", "", 400, "takes no parameters"},
		{"GET", conn + "/tap?at=middle", "", 400, "a tap is at"},
		{"GET", "/v1/resources?orphans=some", "", 400, "true or false"},
		{"DELETE", conn + "?how=politely", "", 400, "it is rst"},
		{"DELETE", conn + "?within=1h", "", 400, "up to 5m"},
		{"DELETE", conn + "?within=soon", "", 400, "not a time"},
		{"POST", "/v1/kill", "", 400, "needs ids, or a filter"},
		{"POST", "/v1/kill", "{}", 400, "needs ids, or a filter"},
		{"POST", "/v1/kill", `{"filter":{}}`, 400, "needs ids, or a filter"},
		{"POST", "/v1/kill", `{"filter":{"state":"open"},"ids":["x"]}`, 400, "not both"},
		{"POST", "/v1/kill", `{"filter":{"stat":"open"}}`, 400, `unknown condition \"stat\"`},
		{"POST", "/v1/kill", `{"filter":{"state":1}}`, 400, "object of texts"},
		{"POST", "/v1/kill", `{"filter":"all"}`, 400, "object of texts"},
		{"POST", "/v1/kill", `{"id":["x"]}`, 400, "unknown field"},
		{"POST", "/v1/kill", `{"ids":["x"]} {}`, 400, "something follows"},
		{"POST", "/v1/kill", `{"ids":`, 400, "not what it is to be"},
		{"POST", "/v1/kill", `[]`, 400, "not what it is to be"},
		{"POST", "/v1/kill", `{"ids":["x"],"within_seconds":-1}`, 400, "up to 5m"},
		{"POST", "/v1/kill", `{"ids":["` + strings.Repeat("x", maxBody) + `"]}`, 413, "more than 1048576 bytes"},
		{"POST", "/v1/drain", `{"timeout_seconds":-1}`, 400, "not a number of seconds"},
		{"POST", "/v1/drain", `{"timeout_seconds":1e300}`, 400, "not a number of seconds"},
		{"POST", "/v1/drain?now=1", "", 400, "takes no parameters"},
	} {
		status, text := r.do(t, tt.method, tt.path, tt.body)
		var e envelope
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error == nil || e.Error.Code == "" {
			t.Errorf("%s %s: the error is %s", tt.method, tt.path, text)
		}
		if status != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s %s %.60s: %d %s; want %d and %s", tt.method, tt.path, tt.body, status, text, tt.status, tt.says)
		}
	}
	if r.relay.Live() != 1 || r.drain.Progress().Draining {
		t.Error("something has changed")
	}
	answer := r.ask(t, "POST", "/v1/kill", "ids=x", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	answer.Body.Close()
	if answer.StatusCode != 415 {
		t.Errorf("a form is answered with %s", answer.Status)
	}
}

// Watchers see, and change nothing; and they see neither bytes nor memory.
func TestWatchers(t *testing.T) {
	r := start(t, Listen{Address: address(t, filepath.Join(t.TempDir(), "view.sock")), View: true})
	_, info := r.one(t)
	r.client = client(t, r.api.Addrs()[1], "")
	for path, want := range map[string]int{
		"GET /v1/conns": 200, "GET /v1/conns/" + info.ID: 200, "GET /v1/resources": 200, "GET /v1/drain": 200, "GET /metrics": 200,
		"GET /v1/openapi.yaml": 200, "GET /healthz": 200, "DELETE /v1/conns/" + info.ID: 405, "POST /v1/drain": 405, "POST /v1/kill": 404,
		"GET /v1/conns/" + info.ID + "/tap": 404, "GET /debug/pprof/": 404, "GET /debug/pprof/heap": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, text := r.do(t, method, path, ""); status != want {
			t.Errorf("%s %s: %d %s; want %d", method, path, status, text, want)
		}
	}
	if r.relay.Live() != 1 || r.drain.Progress().Draining {
		t.Error("something has changed")
	}
}

// Over TCP there is nothing without the token.
func TestToken(t *testing.T) {
	const token = "0123456789abcdef"
	r := start(t, Listen{Address: address(t, "127.0.0.1:0"), Token: token})
	at := r.api.Addrs()[1]
	for _, wrong := range []string{"", "0123456789abcdeg", "0123456789abcde", token + "0"} {
		for _, path := range []string{"/v1/conns", "/healthz", "/metrics", "/debug/pprof/", "/nothing"} {
			r.client = client(t, at, wrong)
			answer := r.ask(t, "GET", path, "", http.Header{"Authorization": {"Bearer " + wrong}})
			answer.Body.Close()
			if answer.StatusCode != 401 || answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("with %q, %s is answered with %s", wrong, path, answer.Status)
			}
		}
	}
	if _, err := client(t, at, token).Conns(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := New(t.Context(), []Listen{{Address: address(t, "127.0.0.1:0")}}); !errors.Is(err, ErrNoToken) {
		t.Errorf("TCP without a token: %v", err)
	}
	if _, err := New(t.Context(), []Listen{{Address: address(t, "unix://@relayd-test-admin")}}); err == nil {
		t.Error("an abstract socket is served without a token")
	}
}

// Who sends slowly, or nothing, or garbage, is let go; and others are served in
// the meantime.
func TestSlowAndHostileClients(t *testing.T) {
	r := start(t)
	path := r.api.Addrs()[0].Path
	for name, sent := range map[string]string{
		"nothing":         "",
		"half a header":   "GET /v1/conns HTTP/1.1\r\nHost: x\r\nX-",
		"half a body":     "POST /v1/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"garbage":         "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
		"a long header":   "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"no host":         "GET /v1/conns HTTP/1.1\r\n\r\n",
		"two lengths":     "POST /v1/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"an endless body": "POST /v1/kill HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, sent)
			if _, err := r.client.Conns(t.Context(), nil); err != nil {
				t.Error(err)
			}
			c.SetReadDeadline(time.Now().Add(patience))
			answer, err := io.ReadAll(c)
			if err != nil && !socket.IsReset(err) {
				t.Errorf("it is not let go: %v", err)
			}
			if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
				t.Errorf("it is answered with %q", answer)
			}
		})
	}
}

// The requests under way are bounded, and one too many is told so.
func TestBusy(t *testing.T) {
	r := start(t)
	for range maxRequests {
		r.api.listeners[0].slots.requests <- struct{}{}
	}
	status, text := r.do(t, "GET", "/v1/conns", "")
	if status != 503 || !strings.Contains(text, "under way") {
		t.Errorf("%d %s", status, text)
	}
	for range maxRequests {
		<-r.api.listeners[0].slots.requests
	}
	if status, _ := r.do(t, "GET", "/v1/conns", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// The progress of a drain is told as it changes, to its end.
func TestDrainProgress(t *testing.T) {
	r := start(t)
	timeout, spread := Seconds(90), Seconds(0)
	if _, err := r.client.Drain(t.Context(), DrainRequest{&timeout, &spread}); err != nil {
		t.Fatal(err)
	}
	if *r.drain.timeout != 90*time.Second || *r.drain.spread != 0 {
		t.Errorf("it is to take %v and %v", *r.drain.timeout, *r.drain.spread)
	}
	if _, err := r.client.Drain(t.Context(), DrainRequest{}); !isCode(err, "draining") {
		t.Errorf("a second drain: %v", err)
	}
	steps := []Drain{
		{Draining: true, Began: 3, Live: 3},
		{Draining: true, Began: 3, Live: 2},
		{Draining: true, Began: 3, Live: 1, Cut: 1},
		{Draining: true, Over: true, Began: 3, Cut: 2},
	}
	r.drain.set(steps[0])
	var got []string
	err := r.client.DrainProgress(t.Context(), func(d Drain) {
		got = append(got, fmt.Sprint(d.Live, d.Cut, d.Over))
		if len(got) < len(steps) {
			r.drain.set(steps[len(got)])
		}
	})
	if want := "3 0 false, 2 0 false, 1 1 false, 0 2 true"; err != nil || strings.Join(got, ", ") != want {
		t.Errorf("told %v, %v; want %s", got, err, want)
	}
}

// The end of the API ends long answers, and leaves nothing.
func TestCloseEndsLongAnswers(t *testing.T) {
	r := start(t)
	_, info := r.one(t)
	stream, err := r.client.Tap(t.Context(), info.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	ended := make(chan error, 1)
	told := make(chan struct{}, 10)
	go func() {
		ended <- r.client.DrainProgress(t.Context(), func(Drain) { told <- struct{}{} })
	}()
	<-told
	r.api.Close()
	if err := <-ended; err == nil {
		t.Error("the progress has come to an end")
	}
	if _, err := io.ReadAll(stream); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if r.relay.Live() != 1 {
		t.Error("the conn has ended, too")
	}
	if _, err := r.client.Conns(t.Context(), nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("afterwards: %v", err)
	}
}

// A second relayd does not take the place of one that lives; of one that is
// dead it does.
func TestPlaceIsTaken(t *testing.T) {
	r := start(t)
	at := r.api.Addrs()[0]
	if s, err := New(t.Context(), []Listen{{Address: at}}); err == nil {
		s.Close()
		t.Fatal("two serve at one place")
	}
	r.api.Close()
	s, err := New(t.Context(), []Listen{{Address: at}})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// A relay that is draining is alive, and not ready.
func TestReady(t *testing.T) {
	r := start(t)
	if status, _ := r.do(t, "GET", "/readyz", ""); status != 200 {
		t.Errorf("readyz: %d", status)
	}
	r.one(t)
	drained := make(chan relay.DrainResult)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		result, _ := r.relay.Drain(ctx)
		drained <- result
	}()
	for !r.relay.Draining() {
	}
	if status, _ := r.do(t, "GET", "/readyz", ""); status != 503 {
		t.Errorf("readyz while draining: %d", status)
	}
	if status, _ := r.do(t, "GET", "/healthz", ""); status != 200 {
		t.Errorf("healthz while draining: %d", status)
	}
	stop()
	if result := <-drained; result.Cut != 1 {
		t.Errorf("%+v", result)
	}
}

// A drain that is over is told although the API ends with it: who does not wait just
// then finds both.
func TestDrainIsOverAsTheAPIEnds(t *testing.T) {
	for range 20 { // of two that are there, select takes any
		d := &lastDrainer{fakeDrainer: newFakeDrainer()}
		s := &Server{Config: Config{Drainer: d}, writeTime: time.Second}
		s.ctx, d.end = context.WithCancel(t.Context())
		q := httptest.NewRequest("GET", "/v1/drain", nil)
		q.Header.Set("Accept", "text/event-stream")
		answer := httptest.NewRecorder()
		if err := s.drainProgress(s.request(answer, q)); err != nil || !strings.Contains(answer.Body.String(), "event: over\n") {
			t.Fatalf("%v; told was %q", err, answer.Body)
		}
	}
}

// A lastDrainer is over, and the API with it, as soon as somebody has asked.
type lastDrainer struct {
	*fakeDrainer
	end context.CancelFunc
}

func (d *lastDrainer) Progress() Drain {
	p := d.fakeDrainer.Progress()
	if !p.Over {
		d.set(Drain{Draining: true, Over: true})
		d.end()
	}
	return p
}
