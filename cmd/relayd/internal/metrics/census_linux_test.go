package metrics

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"relayd/relay"
)

// lookEvery is how often a census looks.
const lookEvery = time.Second

// Connections come and go, and each scrape is one that a server answers whose
// sockets are its own: there is never one that nobody answers for.
func TestNoStraysUnderChurn(t *testing.T) {
	c := census(t)
	for name, config := range map[string]relay.Config{
		"loops":      {},
		"goroutines": {EventLoops: -1},
		"moving":     {MoveEvery: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPeer(t)
			config.To = address(t, p.addr)
			s := start(t, config)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			web := &httptest.Server{Listener: c.Listener(ln), Config: &http.Server{Handler: Handler(s, c, nil)}}
			web.Start()
			defer web.Close()
			p.do(t, "churn %s 8", dialTo(s))
			looks := 0
			for end := time.Now().Add(5 * lookEvery / 2); time.Now().Before(end); looks++ {
				text := p.do(t, "get %s", web.URL)
				if text != unaccounted+" 0" {
					t.Fatalf("look %d: %s", looks, text)
				}
			}
			p.do(t, "calm")
			if st := s.Stats(); st.Accepted < 100 {
				t.Errorf("only %d conns in all", st.Accepted)
			} else {
				t.Logf("%d conns, %d scrapes", st.Accepted, looks)
			}
		})
	}
}

// A socket that somebody forgets shows, and is gone from the figure when it is
// closed.
func TestStrayShows(t *testing.T) {
	s := start(t, relay.Config{To: address(t, "echo:")})
	h := Handler(s, census(t), nil)
	until(t, h, "0")
	leaked, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	until(t, h, "1")
	leaked.Close()
	until(t, h, "0")
}

// until scrapes until the figure is what it should be.
func until(t *testing.T, h http.Handler, want string) {
	t.Helper()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	got := ""
	for end := time.Now().Add(testPatience); time.Now().Before(end); <-every.C {
		if got, _ = value(scrape(t, h), unaccounted); got == want {
			return
		}
	}
	t.Fatalf("%s is %s after %v, want %s", unaccounted, got, testPatience, want)
}

// BenchmarkScrape is a scrape with 5,000 conns, without what HTTP costs.
func BenchmarkScrape(b *testing.B) {
	p := startPeer(b)
	s := start(b, relay.Config{To: address(b, p.addr)})
	c := census(b)
	h := Handler(s, c, nil)
	if got := p.do(b, "hold %s 5000", dialTo(s)); got != "held 5000" {
		b.Fatal(got)
	}
	b.ReportAllocs()
	for b.Loop() {
		scrape(b, h)
	}
}
