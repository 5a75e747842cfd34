package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

const unaccounted = "relayd_sockets_unaccounted"

func address(tb testing.TB, text string) socket.Address {
	tb.Helper()
	a, err := socket.ParseAddress(text)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// census begins one, or returns nil where there is none.
func census(tb testing.TB) *socket.Census {
	tb.Helper()
	c, err := socket.NewCensus()
	if err != nil && err != socket.ErrNoCensus {
		tb.Fatal(err)
	}
	return c
}

// start starts a relay in front of an upstream, and cuts at the test's end what
// is left.
func start(tb testing.TB, c relay.Config) *relay.Server {
	tb.Helper()
	if c.Listen == nil {
		c.Listen = []socket.Address{address(tb, "127.0.0.1:0")}
	}
	s, err := relay.Start(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		now, stop := context.WithCancel(context.Background())
		stop()
		if _, err := s.Drain(now); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func dialTo(s *relay.Server) string {
	a := s.Addrs()[0]
	return fmt.Sprintf("%s:%d", a.Host, a.Port)
}

// scrape returns what a scraper gets that asks for text.
func scrape(tb testing.TB, h http.Handler) string {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		tb.Fatalf("a scrape gets %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// value returns that of a sample in the text of a scrape, by its name and
// labels as they are written, and whether there is one.
func value(text, sample string) (string, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// wantSamples compares samples of a scrape.
func wantSamples(t *testing.T, text string, want map[string]string) {
	t.Helper()
	for sample, v := range want {
		if got, ok := value(text, sample); !ok || got != v {
			t.Errorf("%s is %q, want %s", sample, got, v)
		}
	}
}

func TestLint(t *testing.T) {
	s := start(t, relay.Config{To: address(t, "echo:")})
	for name, c := range map[string]prometheus.Collector{"relay": newCollector(s, census(t), nil), "build": buildInfo()} {
		problems, err := testutil.CollectAndLint(c)
		if err != nil {
			t.Error(name, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestScrape(t *testing.T) {
	leak.Check(t)
	p := startPeer(t)
	s := start(t, relay.Config{To: address(t, p.addr)})
	h := Handler(s, census(t), nil)
	listener := s.Addrs()[0].String()
	p.do(t, "hold %s 3", dialTo(s))
	for s.Stats().Moved.DownOut < 3 { // counted after the client may have it
		runtime.Gosched()
	}
	wantSamples(t, scrape(t, h), map[string]string{
		`relayd_conns{listener="` + listener + `",state="open"}`:     "3",
		`relayd_conns{listener="` + listener + `",state="dialling"}`: "0",
		`relayd_conns_accepted_total`:                                "3",
		`relayd_bytes_total{direction="up",point="in"}`:              "3",
		`relayd_bytes_total{direction="down",point="out"}`:           "3",
		`relayd_resources{kind="conn",state="live"}`:                 "3",
		`relayd_resources{kind="client",state="live"}`:               "3",
		`relayd_resource_orphans{kind="client"}`:                     "0",
		`relayd_dial_duration_seconds_count`:                         "3",
		`relayd_dial_duration_seconds_bucket{le="+Inf"}`:             "3",
		`relayd_conn_duration_seconds_count`:                         "0",
		`relayd_conns_refused_total{reason="draining"}`:              "0",
		`relayd_conns_ended_total{first_closer="us",reason="idle"}`:  "0",
		`relayd_draining`:                 "0",
		`relayd_log_lines_left_out_total`: "0",
	})
	if _, err := s.Kill(t.Context(), s.Conns()[0].ID); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Drain(canceled()); err != nil || r.Cut != 2 {
		t.Fatal(r, err)
	}
	text := scrape(t, h)
	wantSamples(t, text, map[string]string{
		`relayd_conns{listener="` + listener + `",state="open"}`:       "0",
		`relayd_conns_ended_total{first_closer="us",reason="drained"}`: "2",
		`relayd_conns_ended_total{first_closer="us",reason="killed"}`:  "1",
		`relayd_bytes_total{direction="up",point="in"}`:                "3",
		`relayd_shutdown_duration_seconds_bucket{le="+Inf"}`:           "1",
		`relayd_conn_duration_seconds_bucket{le="+Inf"}`:               "3",
		`relayd_draining`: "1",
	})
	if v, ok := value(text, `relayd_drops_total{outcome="alone"}`); !ok || v == "0" {
		t.Errorf("drops alone: %q", v)
	}
	for _, name := range []string{"process_open_fds", "go_goroutines", "go_memstats_heap_alloc_bytes"} {
		if _, ok := value(text, name); !ok {
			t.Errorf("no %s", name)
		}
	}
	if !strings.Contains(text, "relayd_build_info{") {
		t.Error("no relayd_build_info")
	}
}

func canceled() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

// Scrapes do not disturb each other, nor the conns.
func TestScrapesAtOnce(t *testing.T) {
	leak.Check(t)
	p := startPeer(t)
	s := start(t, relay.Config{To: address(t, p.addr)})
	h := Handler(s, census(t), nil)
	p.do(t, "churn %s 2", dialTo(s))
	var all sync.WaitGroup
	for range maxScrapes {
		all.Go(func() { scrapeMany(t, h) })
	}
	all.Wait()
	p.do(t, "calm")
}

func scrapeMany(t *testing.T, h http.Handler) {
	for range 20 {
		scrape(t, h)
	}
}

// What is no UTF-8 does not hide the other metrics, and does not end the
// process: a path of a Unix socket may be anything.
func TestLabelsAreText(t *testing.T) {
	leak.Check(t)
	path := t.TempDir() + "/\xff"
	s := start(t, relay.Config{Listen: []socket.Address{{Kind: socket.Unix, Path: path}}, To: address(t, "echo:")})
	text := scrape(t, Handler(s, nil, nil))
	if !strings.Contains(text, "relayd_conns{listener=") || strings.Contains(text, "\xff") {
		t.Error("the listener has no conns, or is not text")
	}
	if _, ok := value(text, "relayd_sockets_unaccounted"); ok {
		t.Error("sockets are counted without a census")
	}
}

// Through HTTP, with its compression.
func TestOverHTTP(t *testing.T) {
	s := start(t, relay.Config{To: address(t, "echo:")})
	web := httptest.NewServer(Handler(s, nil, nil))
	defer web.Close()
	r, err := http.Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), "relayd_conns_accepted_total 0") {
		t.Errorf("%v: %.200s", err, text)
	}
}
